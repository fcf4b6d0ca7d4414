<?php
/* CPU of the services of a host, a pool or the grid. */
include_once __DIR__ . '/services_stack.php';

function graph_services_cpu_report(&$rrdtool_graph) {
  return services_stack($rrdtool_graph, 'vcpu_util', 'Services CPU', '% of one CPU', 1);
}
