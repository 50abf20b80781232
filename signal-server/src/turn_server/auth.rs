//! Whom the TURN server believes.

use std::net::SocketAddr;
use std::sync::Arc;

use turn::Error;
use turn::auth::{AuthHandler, generate_auth_key};

use super::REALM;
use super::clients::Clients;
use crate::ice::credentials;

/// Accepts credentials made from our secret until they expire.
pub(crate) struct Auth {
    secret: String,
    clients: Arc<Clients>,
}

impl Auth {
    pub(crate) fn new(secret: String, clients: Arc<Clients>) -> Self {
        Self { secret, clients }
    }

    fn key(&self, username: &str, client: SocketAddr, now_secs: u64) -> Result<Vec<u8>, Error> {
        let expiry = credentials::expiry(username).ok_or(Error::ErrNoSuchUser)?;
        // A running allocation may be refreshed with what made it: a relayed link must not break after an hour.
        if expiry < now_secs && !self.clients.allocated_as(client, username) {
            return Err(Error::ErrNoSuchUser);
        }
        self.clients.asks(client, username);
        Ok(generate_auth_key(
            username,
            REALM,
            &credentials::password(&self.secret, username),
        ))
    }
}

impl AuthHandler for Auth {
    fn auth_handle(&self, username: &str, _realm: &str, client: SocketAddr) -> Result<Vec<u8>, Error> {
        self.key(username, client, crate::ws::now().0 / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_username_is_good_only_for_the_allocation_that_it_made() {
        let clients = Arc::new(Clients::new(
            &crate::Limits::for_listener([127, 0, 0, 1].into()),
            Arc::default(),
        ));
        let auth = Auth::new("secret".into(), Arc::clone(&clients));
        let client = SocketAddr::from(([192, 0, 2, 1], 5000));
        let other = SocketAddr::from(([192, 0, 2, 1], 5001));
        assert!(auth.key("1000:x", client, 1000).is_ok());
        assert!(auth.key("1000:x", client, 1001).is_err());
        assert!(auth.key("x", client, 0).is_err());

        assert!(auth.key("1000:x", client, 1000).is_ok());
        let lease = clients.lease().unwrap();
        assert!(auth.key("1000:x", client, 5000).is_ok());
        assert!(auth.key("1000:y", client, 5000).is_err());
        assert!(auth.key("1000:x", other, 5000).is_err());
        drop(lease);
        assert!(auth.key("1000:x", client, 5000).is_err());
    }
}
