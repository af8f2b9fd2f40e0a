//! A chat service's roles, over REST: they are read, and what they allow is changed.

use axum::http::Method;
use serde_json::{Value, json};

use super::json::View;
use super::page::WantedPage;
use super::path::Scope;
use super::{RestAnswered, RestCall, RestReply};
use crate::emulator::state::ServiceRole;
use crate::emulator::state::refusal::Refusal;
use crate::twilio::sid::{ChatServiceSid, RoleSid};

/// When every role was made; the emulator keeps no time of its own for them.
const MADE: &str = "2016-03-03T19:47:15Z";

impl RestCall<'_> {
    pub(super) fn roles(&self, scope: Scope, service: ChatServiceSid) -> RestAnswered {
        if self.method != Method::GET {
            return Err(Refusal::MethodNotAllowed);
        }
        self.allow_query(&[])?;
        let (view, wanted) = (self.view(scope), WantedPage::read(&self.query, 50)?);
        let place = self.list_place("roles", Vec::new());
        let answer = self.read(|world| {
            let page = wanted.cut((0..).zip(world.roles(service)?));
            let items = page.items.iter().map(|role| shown(&view, role)).collect();
            Ok(wanted.answer(&page, items, &place))
        })?;
        Ok(RestReply::Json(200, answer))
    }

    pub(super) fn role(&self, scope: Scope, service: ChatServiceSid, one: &str) -> RestAnswered {
        let sid: RoleSid = one.parse().map_err(|_| Refusal::NotFound)?;
        let role = match *self.method {
            Method::GET => self.read(|world| world.find_role(service, sid))?,
            Method::POST => {
                self.allow(&["Permission"])?;
                let permissions: Vec<String> =
                    self.form.all("Permission").map(str::to_owned).collect();
                if permissions.is_empty() {
                    return Err(Refusal::ParameterMissing("Permission"));
                }
                self.change(|core, _| core.world.set_permissions((service, sid), permissions))?
            }
            _ => return Err(Refusal::MethodNotAllowed),
        };
        Ok(RestReply::Json(200, shown(&self.view(scope), &role)))
    }
}

fn shown(view: &View, role: &ServiceRole) -> Value {
    json!({
        "sid": role.sid,
        "account_sid": view.account,
        "chat_service_sid": role.service,
        "friendly_name": role.friendly_name,
        "type": role.kind.as_str(),
        "permissions": role.permissions,
        "date_created": MADE,
        "date_updated": MADE,
        "url": format!("{}/Roles/{}", view.base, role.sid),
    })
}
