"""leaseq for agents, by the Model Context Protocol: tools over `leaseq.api`, and a server of them on stdio."""
