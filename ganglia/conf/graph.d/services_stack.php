<?php
/* The services of a host, a pool or the grid, stacked: what services_cpu_report and services_memory_report draw.

   A service is a file <service>.<metric>.rrd in the directory of RRD files that the graph is
   about, so nothing has to be said about which services there are. The busiest are drawn one
   by one, the others as one sum. */

const SERVICES_SHOWN = 12;
const SERVICES_COLOURS = ['3366cc', 'dc3912', 'ff9900', '109618', '990099', '0099c6',
                          'dd4477', '66aa00', 'b82e2e', '316395', '22aa99', 'aaaa11'];

/* the files by service name */
function services_files($directory, $metric) {
  $files = [];
  foreach (glob("$directory/*.$metric.rrd") as $file) {
    $name = basename($file, ".$metric.rrd");
    if (preg_match('/^[A-Za-z0-9._@ -]+$/', $name) && !preg_match("/['\\\\]/", $file))
      $files[$name] = $file;
  }
  return $files;
}

/* the name in a legend, where there is little room */
function services_label($name) {
  return preg_replace('/(?<=.)\.service$/', '', $name);
}

/* the services with the greatest averages in the graph's time, in the order of their names */
function services_busiest($files, $start, $end, $rrd_options) {
  global $conf;
  $command = array_merge([$conf['rrdtool'], 'graph', '/dev/null', '--start', (string) $start, '--end', (string) $end],
                         array_values(array_filter(explode(' ', $rrd_options))));
  foreach (array_values($files) as $i => $file)
    array_push($command, "DEF:d$i=" . str_replace(':', '\\:', $file) . ':sum:AVERAGE', "VDEF:v$i=d$i,AVERAGE",
               "PRINT:v$i:%.9le");
  $program = proc_open($command, [1 => ['pipe', 'w']], $pipes);
  if ($program === false)
    return array_slice(array_keys($files), 0, SERVICES_SHOWN);
  $lines = explode("\n", trim(stream_get_contents($pipes[1])));
  fclose($pipes[1]);
  proc_close($program);
  $averages = [];
  foreach (array_keys($files) as $i => $name)  # the first line is the size of the graph
    $averages[$name] = isset($lines[$i + 1]) && is_numeric($lines[$i + 1]) ? (float) $lines[$i + 1] : -1.0;
  arsort($averages);
  $shown = array_slice(array_keys($averages), 0, SERVICES_SHOWN);
  sort($shown);
  return $shown;
}

function services_stack(&$rrdtool_graph, $metric, $what, $label, $factor) {
  global $rrd_dir, $rrd_options, $size;
  $files = services_files($rrd_dir, $metric);
  $shown = services_busiest($files, $rrdtool_graph['start'], $rrdtool_graph['end'], $rrd_options);
  $rrdtool_graph['title'] = $what;
  $rrdtool_graph['vertical-label'] = $label;
  $rrdtool_graph['lower-limit'] = '0';
  if ($size == 'medium')
    $rrdtool_graph['height'] += 28;
  if (!$files) {
    $rrdtool_graph['series'] = 'HRULE:1#FFCC33:"No services"';
    return $rrdtool_graph;
  }
  $data = $values = $areas = '';
  $others = [];
  $width = max(array_map('strlen', array_merge(array_map('services_label', $shown), ['others'])));
  $place = array_flip(array_keys($files));
  $drawn = 0;
  foreach ($files as $name => $file) {
    $id = $place[$name];
    $data .= "DEF:'d$id'='$file':'sum':AVERAGE ";
    $values .= "CDEF:'s$id'=d$id,$factor,* ";
    if (!in_array($name, $shown, true))
      $others[] = "s$id";
  }
  foreach ($shown as $name)
    $areas .= services_area('s' . $place[$name], SERVICES_COLOURS[$drawn % count(SERVICES_COLOURS)],
                            str_pad(services_label($name), $width), $drawn++);
  if ($others) {
    $values .= "CDEF:'others'=" . implode(',', $others) . str_repeat(',ADDNAN', count($others) - 1) . ' ';
    $areas .= services_area('others', 'c0c0c0', str_pad('others', $width), $drawn);
  }
  $rrdtool_graph['series'] = $data . $values . $areas;
  return $rrdtool_graph;
}

function services_area($id, $colour, $label, $drawn) {
  global $conf, $size;
  $statistics = $conf['graphreport_stat_items'];
  if (in_array($size, ['small', 'medium', 'mobile']))
    $statistics = array_intersect($statistics, ['now', 'max']);
  $area = ($drawn ? 'STACK' : 'AREA') . ":'$id'#$colour:'$label' ";
  return $area . ($conf['graphreport_stats'] ? legendEntry($id, $statistics) : '');
}
