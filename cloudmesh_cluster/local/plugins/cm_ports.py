"""Binds Neutron's ports to the cloud's one bridge; loaded by ML2 as a mechanism driver."""

from neutron_lib import constants
from neutron_lib.api.definitions import portbindings
from neutron_lib.plugins.ml2 import api


class BridgePorts(api.MechanismDriver):
    """Every port on the network `local` is bound at once: the compute driver does the plugging."""

    def initialize(self):
        """Nothing to prepare: there is no agent to talk to."""

    def bind_port(self, context):
        """Bind to the first flat segment; `other` is the kind that Nova hands over untouched."""
        for segment in context.segments_to_bind:
            if segment[api.NETWORK_TYPE] == constants.TYPE_FLAT:
                context.set_binding(
                    segment[api.ID],
                    portbindings.VIF_TYPE_OTHER,
                    {portbindings.CAP_PORT_FILTER: False},
                    status=constants.PORT_STATUS_ACTIVE,
                )
                return
