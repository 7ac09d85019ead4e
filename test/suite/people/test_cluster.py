"""RDN_upscale.py --cluster, on Python 3.10 and later: three nodes on this machine, in a network with only the loopback."""

import os

import own_network

import pytest


@pytest.mark.slow
@pytest.mark.parametrize('cases', ['in_cluster.py', 'signals_in_cluster.py'])
def test_a_cluster_of_three_nodes_does_what_one_machine_does(cases):
    own_network.run(os.path.join(os.path.dirname(__file__), cases))
