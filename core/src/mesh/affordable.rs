//! How many links a device can afford, by what a browser tells of it.

use std::time::Duration;

use super::LinkBudget;
use crate::time::Millis;

/// How long a tab may be out of sight before it counts as in the background: looking something up elsewhere is no
/// reason to cut links and make them again.
pub const OUT_OF_SIGHT: Duration = Duration::from_secs(45);

/// What a browser tells of the device and of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// The page is not on the screen.
    pub hidden: bool,
    /// The browser says that this is a phone (`userAgentData.mobile`), or does not say.
    pub mobile: Option<bool>,
    /// The main pointer is a finger.
    pub coarse_pointer: bool,
    /// The shorter side of the screen, in CSS pixels.
    pub short_side: u32,
    /// Over the mobile network, or with the wish to save data (`navigator.connection`).
    pub metered: bool,
}

/// Screens whose shorter side is at least this long, in CSS pixels, are no phones': the smallest tablets have 600.
const TABLET: u32 = 600;

impl Device {
    fn is_phone(&self) -> bool {
        self.metered
            || self
                .mobile
                .unwrap_or(self.coarse_pointer && self.short_side < TABLET)
    }
}

/// Follows a device, and tells what it can afford when that changes.
#[derive(Debug, Default)]
pub struct Affordable {
    device: Device,
    hidden_since: Option<Millis>,
    told: Option<LinkBudget>,
}

impl Affordable {
    /// What the browser tells now; called again at every change, and at [`Self::look_again`].
    pub fn see(&mut self, device: Device, now: Millis) -> Option<LinkBudget> {
        self.device = device;
        self.hidden_since = device.hidden.then(|| self.hidden_since.unwrap_or(now));
        let budget = self.budget(now);
        (self.told.replace(budget) != Some(budget)).then_some(budget)
    }

    /// What it can afford, told or not.
    pub fn budget(&self, now: Millis) -> LinkBudget {
        match self.hidden_since {
            Some(since) if now.since(since) >= OUT_OF_SIGHT => LinkBudget::Background,
            _ if self.device.is_phone() => LinkBudget::Phone,
            _ => LinkBudget::Full,
        }
    }

    /// When it changes by itself.
    pub fn look_again(&self, now: Millis) -> Option<Millis> {
        let due = self.hidden_since? + OUT_OF_SIGHT;
        (due > now).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESKTOP: Device = Device {
        hidden: false,
        mobile: None,
        coarse_pointer: false,
        short_side: 1080,
        metered: false,
    };
    const PHONE: Device = Device {
        coarse_pointer: true,
        short_side: 390,
        ..DESKTOP
    };

    fn hidden(device: Device) -> Device {
        Device {
            hidden: true,
            ..device
        }
    }

    fn at(seconds: u64) -> Millis {
        Millis(seconds * 1000)
    }

    #[test]
    fn a_glance_elsewhere_changes_nothing() {
        let mut tab = Affordable::default();
        assert_eq!(tab.see(DESKTOP, at(0)), Some(LinkBudget::Full));
        assert_eq!(tab.see(hidden(DESKTOP), at(10)), None);
        assert_eq!(tab.look_again(at(10)), Some(at(55)));
        assert_eq!(tab.see(DESKTOP, at(54)), None);
        assert_eq!(tab.look_again(at(54)), None);
        // The next glance counts from its own beginning.
        assert_eq!(tab.see(hidden(DESKTOP), at(60)), None);
        assert_eq!(tab.see(hidden(DESKTOP), at(104)), None);
        assert_eq!(tab.see(hidden(DESKTOP), at(105)), Some(LinkBudget::Background));
        assert_eq!(tab.look_again(at(105)), None);
        assert_eq!(tab.see(hidden(DESKTOP), at(200)), None);
        assert_eq!(tab.see(DESKTOP, at(201)), Some(LinkBudget::Full));
    }

    #[test]
    fn a_clock_set_back_does_not_bring_a_tab_forward() {
        let mut tab = Affordable::default();
        tab.see(hidden(DESKTOP), at(1000));
        assert_eq!(tab.see(hidden(DESKTOP), at(10)), None);
        assert_eq!(tab.see(hidden(DESKTOP), at(1045)), Some(LinkBudget::Background));
    }

    #[test]
    fn phones_are_told_from_others() {
        let budget = |device| Affordable::default().see(device, at(0));
        assert_eq!(budget(PHONE), Some(LinkBudget::Phone));
        assert_eq!(budget(hidden(PHONE)), Some(LinkBudget::Phone));
        // A tablet; a narrow screen with a mouse.
        for other in [
            Device {
                short_side: 600,
                ..PHONE
            },
            Device {
                coarse_pointer: false,
                ..PHONE
            },
            // What the browser says goes before what it looks like.
            Device {
                mobile: Some(false),
                ..PHONE
            },
        ] {
            assert_eq!(budget(other), Some(LinkBudget::Full), "{other:?}");
        }
        for phone in [
            Device {
                mobile: Some(true),
                ..DESKTOP
            },
            Device {
                metered: true,
                ..DESKTOP
            },
        ] {
            assert_eq!(budget(phone), Some(LinkBudget::Phone), "{phone:?}");
        }
    }
}
