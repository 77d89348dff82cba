"""Plain records that both processes share: sensors, scene sources, requests, results, messages, framing.

Standard library only and relative imports only: the worker imports this package as ``skysense.protocol``, the plugin
as ``skysense_qgis.protocol``.
"""
