//! Which request headers name the user.

/// The headers that name the user besides `Cookie` and `Authorization`: keys and tokens of APIs, and what authenticating proxies in front
/// set. A page made for a request with one of them only comes back to the same value, unless it says `public`.
///
/// More can be told to a layer with `identity_headers`. In alphabetical order.
///
/// ```
/// assert!(larder_tower::IDENTITY_HEADERS.contains(&"x-api-key"));
/// ```
pub const IDENTITY_HEADERS: &[&str] = &[
    "api-key",
    "apikey",
    // Cloudflare Access
    "cf-access-authenticated-user-email",
    "cf-access-client-id",
    "cf-access-jwt-assertion",
    "proxy-authorization",
    // Authelia, Caddy and CGI's REMOTE_USER
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "ssl-client-cert",
    // Tailscale Serve
    "tailscale-user-login",
    "x-access-token",
    // AWS load balancers
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-api-key",
    "x-api-token",
    // nginx's auth_request with oauth2-proxy
    "x-auth-request-access-token",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-user",
    "x-auth-token",
    "x-auth-user",
    "x-authenticated-user",
    "x-authentik-email",
    "x-authentik-groups",
    "x-authentik-jwt",
    "x-authentik-uid",
    "x-authentik-username",
    "x-client-cert",
    "x-csrf-token",
    "x-csrftoken",
    "x-forwarded-access-token",
    // Envoy
    "x-forwarded-client-cert",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-user",
    // Google's Identity-Aware Proxy
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-goog-iap-jwt-assertion",
    // Azure App Service
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-ms-client-principal-name",
    "x-remote-user",
    "x-session-id",
    "x-session-token",
    "x-ssl-client-cert",
    "x-tenant-id",
    "x-user",
    "x-user-email",
    "x-user-id",
    // Grafana
    "x-webauth-user",
    "x-xsrf-token",
];

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    #[test]
    fn the_names_are_header_names_in_alphabetical_order() {
        assert!(IDENTITY_HEADERS.is_sorted());
        for name in IDENTITY_HEADERS {
            assert_eq!(HeaderName::from_static(name).as_str(), *name);
        }
    }
}
