//! What controllers, scheduler and kubelets do.
