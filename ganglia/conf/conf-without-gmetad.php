<?php
# ganglia-web on sflow_gmetrics alone. Belongs into /etc/ganglia-webfrontend/conf.php

# [gmetad] interactive_listen
$conf['ganglia_ip'] = '127.0.0.1';
$conf['ganglia_port'] = 8652;

# [rrd] root, and [rrd] rrdcached: '' where files are written without one. A graph asks it for the newest values.
$conf['rrds'] = '/var/lib/sflow-gmetrics/rrd';
$conf['rrdcached_socket'] = 'unix:/var/lib/sflow-gmetrics/rrdcached.sock';

# [views] directory; the web server only reads it
$conf['views_dir'] = '/var/lib/sflow-gmetrics/views';

# what hosts and metrics there are, for searches and aggregate graphs: where the web server may write
$conf['cachefile'] = '/var/lib/ganglia-web/dwoo/ganglia_metrics.cache';
$conf['cachetime'] = 300;

$conf['auth_system'] = 'readonly';
$conf['nagios_cache_enabled'] = 0;
