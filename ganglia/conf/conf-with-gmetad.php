<?php
# ganglia-web on a gmetad that polls sflow_gmetrics. Belongs into /etc/ganglia-webfrontend/conf.php

# gmetad's interactive_port and rrd_rootdir
$conf['ganglia_ip'] = '127.0.0.1';
$conf['ganglia_port'] = 8652;
$conf['rrds'] = '/var/lib/ganglia/rrds';
$conf['rrdcached_socket'] = '';

# [views] directory; the web server only reads it
$conf['views_dir'] = '/var/lib/sflow-gmetrics/views';

# what hosts and metrics there are, for searches and aggregate graphs: where the web server may write
$conf['cachefile'] = '/var/lib/ganglia-web/dwoo/ganglia_metrics.cache';
$conf['cachetime'] = 300;

$conf['auth_system'] = 'readonly';
$conf['nagios_cache_enabled'] = 0;
