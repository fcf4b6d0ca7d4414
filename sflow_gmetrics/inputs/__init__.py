"""Where datagrams come from: the network and captures. All reading and listening of the package is here."""
