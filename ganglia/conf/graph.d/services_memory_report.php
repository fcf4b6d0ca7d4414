<?php
/* Memory of the services of a host, a pool or the grid; the files are in KB. */
include_once __DIR__ . '/services_stack.php';

function graph_services_memory_report(&$rrdtool_graph) {
  return services_stack($rrdtool_graph, 'vmem_used', 'Services Memory', 'bytes', 1024);
}
