"""Rules for Prometheus and dashboards for Grafana, and the declarations that the dashboards are made from."""
