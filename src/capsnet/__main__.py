"""`python -m capsnet`."""

import sys

from capsnet.command import main

sys.exit(main())
