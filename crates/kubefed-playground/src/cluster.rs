use std::io;

use kube::Client;
use kubefed_api::{QualifiedName, ResourceType};
use kubefed_sim::{Cluster, Effect, Fault};
use serde_json::Value;

/// A cluster that a [`Playground`](crate::Playground) is made of.
///
/// Simulated clusters are; tests have another for real API servers, so that a scenario is written once
/// and played on both. What is asked for is at hand and never waits for the cluster: what a real one
/// holds is followed by watches, and may lag behind a little.
pub trait PlayedCluster {
    /// A client that may do everything.
    fn client(&self) -> Client;

    /// Announces that the objects of a resource will be asked for.
    fn follow(&self, resource: &ResourceType);

    /// An object as it is stored.
    fn object(&self, resource: &ResourceType, name: &QualifiedName) -> Option<Value>;

    /// All objects of a resource, in the order of their names.
    fn objects(&self, resource: &ResourceType) -> Vec<Value>;

    /// A number that grows with every change of a followed resource.
    fn changes(&self) -> u64;

    /// Takes the cluster down: connections are refused until it
    /// [comes back](PlayedCluster::come_back).
    ///
    /// # Errors
    ///
    /// The cluster cannot be made to do that.
    fn go_down(&self) -> impl Future<Output = io::Result<()>>;

    /// Ends whatever was done to the cluster.
    ///
    /// # Errors
    ///
    /// The cluster cannot be made to do that.
    fn come_back(&self) -> impl Future<Output = io::Result<()>>;
}

impl PlayedCluster for Cluster {
    fn client(&self) -> Client {
        Self::client(self)
    }

    fn follow(&self, _: &ResourceType) {}

    fn object(&self, resource: &ResourceType, name: &QualifiedName) -> Option<Value> {
        Self::object(
            self,
            &resource.qualified_plural(),
            name.namespace(),
            name.name(),
        )
    }

    fn objects(&self, resource: &ResourceType) -> Vec<Value> {
        Self::objects(self, &resource.qualified_plural())
    }

    fn changes(&self) -> u64 {
        self.resource_version()
    }

    async fn go_down(&self) -> io::Result<()> {
        self.inject(Fault::new(Effect::Refuse));
        Ok(())
    }

    async fn come_back(&self) -> io::Result<()> {
        self.lift_all();
        Ok(())
    }
}
