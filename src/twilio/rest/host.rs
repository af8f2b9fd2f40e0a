//! Which host serves a product in a region, by way of an edge. Pure.

/// Each region that accounts can have, with the edge that lies beside it.
/// Source: Understanding Edge Locations and the API domain migration guide, read 2026-11-21: hosts of
/// a region without an edge end 2026-04-28.
const OWN_EDGES: [(&str, &str); 3] = [("us1", "ashburn"), ("ie1", "dublin"), ("au1", "sydney")];

/// Gives the edge that a region has of its own; `None` for a region that is not known.
#[must_use]
pub fn own_edge(region: &str) -> Option<&'static str> {
    OWN_EDGES.iter().find(|(known, _)| *known == region).map(|(_, edge)| *edge)
}

/// Gives a product's host: `product.edge.region.twilio.com`.
///
/// A region alone is entered by its own edge; an edge alone leads to `us1`; neither gives the plain
/// host. `None` where the region is not known and no edge is given: there is no such host.
/// Source: Using the Twilio REST API in a non-US Region, read 2026-11-21.
#[must_use]
pub fn host(product: &str, region: Option<&str>, edge: Option<&str>) -> Option<String> {
    let region = region.filter(|text| !text.is_empty());
    let edge = edge.filter(|text| !text.is_empty());
    let (edge, region) = match (edge, region) {
        (None, None) => return Some(format!("{product}.twilio.com")),
        (None, Some(region)) => (own_edge(region)?, region),
        (Some(edge), None) => (edge, "us1"),
        (Some(edge), Some(region)) => (edge, region),
    };
    Some(format!("{product}.{edge}.{region}.twilio.com"))
}

/// Gives the host of the media service in a region; it has no edges.
///
/// Source: Conversations Media Resource, base URL, read 2026-11-29, for us1; access token protocol notes,
/// "Region and hosts", for the others.
#[must_use]
pub fn media_host(region: Option<&str>) -> String {
    let region = region.filter(|text| !text.is_empty());
    format!("mcs.{}.twilio.com", region.unwrap_or("us1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_service_is_in_each_region() {
        for (region, wanted) in [
            (None, "mcs.us1.twilio.com"),
            (Some(""), "mcs.us1.twilio.com"),
            (Some("ie1"), "mcs.ie1.twilio.com"),
        ] {
            assert_eq!(media_host(region), wanted);
        }
    }

    #[test]
    fn a_region_is_entered_by_the_edge_that_is_given_or_by_its_own() {
        for (region, edge, wanted) in [
            (None, None, Some("conversations.twilio.com")),
            (Some("us1"), None, Some("conversations.ashburn.us1.twilio.com")),
            (Some("ie1"), None, Some("conversations.dublin.ie1.twilio.com")),
            (Some("au1"), None, Some("conversations.sydney.au1.twilio.com")),
            (None, Some("sydney"), Some("conversations.sydney.us1.twilio.com")),
            (Some("ie1"), Some("frankfurt"), Some("conversations.frankfurt.ie1.twilio.com")),
            (Some("jp1"), Some("tokyo"), Some("conversations.tokyo.jp1.twilio.com")),
            (Some("jp1"), None, None),
            (Some(""), Some(""), Some("conversations.twilio.com")),
        ] {
            let found = host("conversations", region, edge);
            assert_eq!(found.as_deref(), wanted, "{region:?} {edge:?}");
        }
    }
}
