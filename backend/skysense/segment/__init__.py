"""Click-to-segment: points and boxes on a view -> the mask of one object.

A view is cut into superpixels once; each prompt then scores the superpixels, cuts their graph, sharpens the outline
and passes the guard, which lets a click change the mask only around itself. Numpy, scipy, OpenCV and PyMaxflow; no
network. `session.ClickSession` is the entrance.
"""
