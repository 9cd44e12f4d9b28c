package models

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var (
	hostNamePattern = regexp.MustCompile(
		`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)*[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.?$`,
	)
	lastLabelNumeric   = regexp.MustCompile(`(^|\.)[0-9]+\.?$`)
	addressZonePattern = regexp.MustCompile(`^[A-Za-z0-9_.-]*$`)
)

// maxHostName is how many bytes a host name has at most.
const maxHostName = 253

// ParseHost returns a host as typed, without surrounding space and the brackets of an IPv6 address, and whether it is
// an IP address or a possible host name.
func ParseHost(typed string) (string, bool) {
	host := strings.TrimSpace(typed)
	if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return host, addressZonePattern.MatchString(address.Zone())
	}
	return host, len(host) <= maxHostName && hostNamePattern.MatchString(host) && !lastLabelNumeric.MatchString(host)
}

// canonicalHost returns a host in the one form in which it is compared.
func canonicalHost(host string) string {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().String()
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// IsLoopback reports whether a host is this computer, by its name or address alone: nothing is resolved.
func IsLoopback(host string) bool {
	host = canonicalHost(host)
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// Hosts are the hosts that a credential may be sent to, in the form of ParseHostRule. Empty means any.
type Hosts []string

// ParseHostRule returns an entry of Hosts in its canonical form, and whether it is one: an address, a network such as
// 10.1.0.0/16, a host name, or a name or IPv4 address in which * stands for any characters between two dots.
func ParseHostRule(typed string) (string, bool) {
	if network, err := netip.ParsePrefix(strings.TrimSpace(typed)); err == nil {
		return network.Masked().String(), !network.Addr().Is4In6()
	}
	host, valid := ParseHost(typed)
	if strings.Contains(host, "*") {
		_, isName := ParseHost(strings.ReplaceAll(host, "*", "x"))
		address, err := netip.ParseAddr(strings.ReplaceAll(host, "*", "1"))
		valid = isName || err == nil && address.Is4()
	}
	return canonicalHost(host), valid
}

// Allow reports whether a credential may be sent to a host. Names and addresses are compared as they are, and neither
// is resolved to the other: what a name resolves to is not ours to say.
func (h Hosts) Allow(host string) bool {
	host = canonicalHost(host)
	return len(h) == 0 || slices.ContainsFunc(h, func(rule string) bool { return ruleAllows(rule, host) })
}

func ruleAllows(rule, host string) bool {
	address, err := netip.ParseAddr(host)
	if network, notNetwork := netip.ParsePrefix(rule); notNetwork == nil {
		return err == nil && network.Contains(address.WithZone(""))
	}
	if !strings.Contains(rule, "*") || address.Is6() {
		return rule == host
	}
	return slices.EqualFunc(strings.Split(rule, "."), strings.Split(host, "."), labelMatches)
}

// labelMatches reports whether a label of a host is what the pattern says. It takes the first place of each part, which
// is enough and needs no second try.
func labelMatches(pattern, label string) bool {
	first, rest, starred := strings.Cut(pattern, "*")
	if !starred {
		return pattern == label
	}
	label, found := strings.CutPrefix(label, first)
	for part, more, again := strings.Cut(rest, "*"); found && again; part, more, again = strings.Cut(rest, "*") {
		_, label, found = strings.Cut(label, part)
		rest = more
	}
	return found && strings.HasSuffix(label, rest)
}

// within reports whether every rule is also one of others. Empty means any host, and nothing but any host contains it.
func (h Hosts) within(others Hosts) bool {
	return len(others) == 0 ||
		len(h) > 0 && !slices.ContainsFunc(h, func(rule string) bool { return !slices.Contains(others, rule) })
}

// with returns the hosts and one more.
func (h Hosts) with(host string) Hosts { return append(slices.Clone(h), canonicalHost(host)) }

// without returns the hosts less a host, nil for none, that is listed as such.
func (h Hosts) without(host *string) Hosts {
	listed := func(rule string) bool { return host != nil && rule == canonicalHost(*host) }
	return slices.DeleteFunc(slices.Clone(h), listed)
}

// Value implements driver.Valuer: the store has a JSON array.
func (h Hosts) Value() (driver.Value, error) { return jsonParameter(append(Hosts{}, h...)) }

// Scan implements sql.Scanner.
func (h *Hosts) Scan(stored any) error {
	switch text := stored.(type) {
	case []byte:
		return json.Unmarshal(text, h)
	case string:
		return json.Unmarshal([]byte(text), h)
	}
	return fmt.Errorf("hosts of a credential stored as %T", stored)
}
