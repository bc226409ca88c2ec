"""What several tiers of tests share. Nothing here is a test, and test modules import from here, never from each other.

A site is a controller with its switches, at one of four levels:

=======================  ===================================================================================
`engine_site.Site`       the engine over a store in memory; switches confirm when the test says so
`world.World`            the same engine with simulated switches, so that packets can be sent
`rest_service.Service`   the REST application over the engine
`controller.Site`        the real controller, with real bridges on dummy ports
=======================  ===================================================================================
"""
