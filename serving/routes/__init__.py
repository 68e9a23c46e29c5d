"""The HTTP edge, a module for each thing that can be asked. Routes translate and delegate; they decide nothing."""
