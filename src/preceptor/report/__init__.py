"""Reports: tables and self-contained pages, from run folders alone."""
