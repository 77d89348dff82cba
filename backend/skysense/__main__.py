"""``python -m skysense``."""

from skysense.cli import main

raise SystemExit(main())
