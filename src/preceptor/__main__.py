"""`python -m preceptor`: the command line."""

import sys

from preceptor.cli import main

sys.exit(main())
