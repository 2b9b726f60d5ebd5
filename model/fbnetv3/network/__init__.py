"""The network's modules, with d2go's parameter names, top to bottom: norms, blocks, backbone, RPN, heads, RCNN."""
