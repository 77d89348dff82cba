"""Jobs: one file each, ``run(request, report) -> result``. They know nothing of QGIS or pipes."""
