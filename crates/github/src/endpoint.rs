//! The addresses of a GitHub server.

/// The addresses of GitHub's two APIs on one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The beginning of every REST address, such as `https://api.github.com/` or
    /// `https://ghe.example.com/api/v3/`.
    pub rest: String,
    /// The path of the GraphQL API, relative to the root of the server.
    pub graphql: String,
}

impl Endpoint {
    /// Returns the addresses for the configured address. The configured address is
    /// `https://api.github.com`, or the address of an Enterprise Server, with or without `/api/v3`.
    pub fn new(address: &str) -> Self {
        let address = address.trim_end_matches('/');
        match address.strip_suffix("/api/v3") {
            Some(server) => Self { rest: format!("{address}/"), graphql: format!("{server}/api/graphql") },
            None => Self { rest: format!("{address}/"), graphql: format!("{address}/graphql") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_enterprise_server_has_its_graphql_beside_its_rest() {
        let endpoint = Endpoint::new("https://ghe.example.com/api/v3/");
        assert_eq!(endpoint.rest, "https://ghe.example.com/api/v3/");
        assert_eq!(endpoint.graphql, "https://ghe.example.com/api/graphql");
        assert_eq!(Endpoint::new("https://api.github.com").graphql, "https://api.github.com/graphql");
    }
}
