"""`python -m sflow_gmetrics` is the command sflow-gmetrics."""

import sys

from .cli import main

sys.exit(main())
