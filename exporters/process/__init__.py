"""The exporter process: scheduled runs, backfills, the HTTP server, the log of its own."""
