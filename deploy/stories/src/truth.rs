//! What really happened, as the sandbox knows it (`GET /sandbox/truth`).

use std::net::SocketAddr;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;

use crate::house::House;

/// Users with their connections and jobs, and the refreshes that Basiq received.
#[derive(Debug, Default, Deserialize)]
pub struct Truth {
    users: Vec<User>,
    refreshes: Vec<Refresh>,
}

#[derive(Debug, Deserialize)]
struct User {
    name: String,
    id: String,
    connections: Vec<Connection>,
}

#[derive(Debug, Deserialize)]
struct Connection {
    id: String,
    jobs: Vec<Job>,
}

#[derive(Debug, Deserialize)]
struct Job {
    id: String,
    tries: Vec<Try>,
}

#[derive(Debug, Deserialize)]
struct Try {
    failed: Option<(String, String)>,
}

#[derive(Debug, Deserialize)]
struct Refresh {
    at: Timestamp,
    user_id: String,
}

impl Truth {
    /// Asks the sandbox.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub async fn read(house: &House, sandbox: SocketAddr) -> Result<Self> {
        let text = house.read(&format!("http://{sandbox}/sandbox/truth")).await?;
        serde_json::from_str(&text).context("the sandbox's /sandbox/truth is not what was expected")
    }

    fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    /// The ids of all users.
    pub fn user_ids(&self) -> impl Iterator<Item = &str> {
        self.users.iter().map(|user| user.id.as_str())
    }

    /// The id of a person.
    pub fn user_id(&self, name: &str) -> Option<&str> {
        Some(self.user(name)?.id.as_str())
    }

    /// When refreshes of a person's connections came in.
    pub fn refreshes(&self, name: &str) -> Vec<Timestamp> {
        let Some(user) = self.user(name) else { return Vec::new() };
        self.refreshes.iter().filter(|refresh| refresh.user_id == user.id).map(|refresh| refresh.at).collect()
    }

    /// The id of a person's connection; everybody in the stories has one.
    pub fn connection(&self, name: &str) -> Option<&str> {
        Some(self.user(name)?.connections.first()?.id.as_str())
    }

    /// The ids of a person's jobs of which a try failed.
    pub fn failed_jobs(&self, name: &str) -> Vec<&str> {
        let jobs = self.user(name).into_iter().flat_map(|user| &user.connections).flat_map(|one| &one.jobs);
        jobs.filter(|job| job.tries.iter().any(|run| run.failed.is_some()))
            .map(|job| job.id.as_str())
            .collect()
    }
}
