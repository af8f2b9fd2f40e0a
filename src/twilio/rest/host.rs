//! Which host serves a product in a region, by way of an edge. Pure.

/// Gives a product's host: `product[.edge].region.twilio.com`.
///
/// An edge alone goes to `us1`; neither gives the plain host.
/// Source: node helper 6.2.0 and Global infrastructure, read 2026-11-21.
#[must_use]
pub fn host(product: &str, region: Option<&str>, edge: Option<&str>) -> String {
    let region = region.filter(|text| !text.is_empty());
    let edge = edge.filter(|text| !text.is_empty());
    match (edge, region) {
        (None, None) => format!("{product}.twilio.com"),
        (None, Some(region)) => format!("{product}.{region}.twilio.com"),
        (Some(edge), None) => format!("{product}.{edge}.us1.twilio.com"),
        (Some(edge), Some(region)) => format!("{product}.{edge}.{region}.twilio.com"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edge_and_region_stand_between_product_and_domain() {
        for (region, edge, wanted) in [
            (None, None, "conversations.twilio.com"),
            (Some("ie1"), None, "conversations.ie1.twilio.com"),
            (None, Some("sydney"), "conversations.sydney.us1.twilio.com"),
            (Some("ie1"), Some("dublin"), "conversations.dublin.ie1.twilio.com"),
            (Some(""), Some(""), "conversations.twilio.com"),
        ] {
            assert_eq!(host("conversations", region, edge), wanted);
        }
    }
}
