package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The fields of current.json that flydeploy knows. All others are kept.
const (
	fieldImageRef        = "image_ref"
	fieldImage           = "image"
	fieldImageCode       = "image_code"
	fieldHotUpgrade      = "hot_upgrade"
	fieldUpgrades        = "upgrades"
	fieldMachineUpgrades = "machine_upgrades"
	fieldOwnCode         = "own_code"
)

// DecodeMetadata reads current.json.
func DecodeMetadata(body []byte) (Metadata, error) {
	var m Metadata
	if err := json.Unmarshal(body, &m.Extra); err != nil {
		return m, err
	}
	if m.Extra == nil {
		return m, errors.New("the document is null")
	}
	var named map[string]HotUpgrade
	var machines map[string]json.RawMessage
	for field, into := range map[string]any{
		fieldImageRef: &m.ImageRef, fieldImage: &m.Image, fieldImageCode: &m.ImageCode, fieldHotUpgrade: &m.HotUpgrade, fieldUpgrades: &named,
		fieldMachineUpgrades: &machines, fieldOwnCode: &m.OwnCode,
	} {
		if raw, ok := m.Extra[field]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return m, fmt.Errorf("%s: %w", field, err)
			}
			delete(m.Extra, field)
		}
	}
	for id, raw := range machines {
		u, err := readEntry(raw, id, named)
		if err != nil {
			return m, fmt.Errorf("%s: machine %s: %w", fieldMachineUpgrades, id, err)
		}
		if m.MachineUpgrades == nil {
			m.MachineUpgrades = make(map[string]HotUpgrade, len(machines))
		}
		m.MachineUpgrades[id] = u
	}
	return m, nil
}

// EncodeMetadata writes current.json. An upgrade that several machines run whose startup hooks read names is written once, under
// upgrades, and its name for each of them: as "name", or as ["name", signed_at_ms, "value"] with what is the machine's own of the
// signature. What does not know names, such as an older flydeploy, finds no upgrade of the form that it knows there, and refuses it.
func EncodeMetadata(m Metadata) ([]byte, error) {
	document := make(map[string]any, len(m.Extra)+7)
	for field, raw := range m.Extra {
		document[field] = raw
	}
	document[fieldImageRef], document[fieldHotUpgrade] = m.ImageRef, m.HotUpgrade
	if m.Image != "" {
		document[fieldImage] = m.Image
	}
	if m.ImageCode != nil {
		document[fieldImageCode] = m.ImageCode
	}
	if named, machines := entries(m.MachineUpgrades); len(machines) > 0 {
		document[fieldMachineUpgrades] = machines
		if len(named) > 0 {
			document[fieldUpgrades] = named
		}
	}
	if m.OwnCode != nil {
		document[fieldOwnCode] = m.OwnCode
	}
	return json.MarshalIndent(document, "", "  ")
}

// readEntry reads what machine_upgrades has for a machine.
func readEntry(raw json.RawMessage, machine string, named map[string]HotUpgrade) (u HotUpgrade, err error) {
	var name string
	var value []byte
	var at int64
	isSigned := raw[0] == '['
	switch {
	case raw[0] == '"':
		err = json.Unmarshal(raw, &name)
	case isSigned:
		err = json.Unmarshal(raw, &[]any{&name, &at, &value})
	default:
		return u, json.Unmarshal(raw, &u)
	}
	u, known := named[name]
	if err == nil && !known {
		err = fmt.Errorf("there is no upgrade %q", name)
	}
	s := u.Signature
	if u.ByName, u.Signature = true, nil; isSigned && s != nil {
		u.Signature = &Signature{Key: s.Key, Image: s.Image, ImageCode: s.ImageCode, Machine: machine, SignedAtMS: at, Value: value}
	}
	return u, err
}

// alike is what entries have in common that are written once.
type alike struct {
	upgrade               HotUpgrade
	at                    time.Time
	signed                bool
	key, image, imageCode string
}

// common gives what an entry has in common with those of other machines; false if it has to be written as a whole.
func (u HotUpgrade) common(machine string) (alike, bool) {
	s := u.Signature
	a := alike{upgrade: u, at: u.DeployedAt.UTC().Round(0), signed: s != nil}
	a.upgrade.Signature, a.upgrade.DeployedAt = nil, time.Time{}
	if s != nil {
		a.key, a.image, a.imageCode = s.Key, s.Image, s.ImageCode
	}
	return a, u.ByName && (s == nil || s.Machine == machine)
}

// entries gives upgrades by their names, and what machine_upgrades has for each machine.
func entries(of map[string]HotUpgrade) (named map[string]HotUpgrade, machines map[string]any) {
	groups := map[alike][]string{}
	machines = make(map[string]any, len(of))
	for id, u := range of {
		machines[id] = u
		if a, ok := u.common(id); ok {
			groups[a] = append(groups[a], id)
		}
	}
	maps.DeleteFunc(groups, func(_ alike, ids []string) bool { return len(ids) < 2 })
	order := slices.SortedFunc(maps.Keys(groups), func(a, b alike) int {
		return cmp.Or(cmp.Compare(a.upgrade.ID, b.upgrade.ID), cmp.Compare(slices.Min(groups[a]), slices.Min(groups[b])))
	})
	named = make(map[string]HotUpgrade, len(order))
	for _, a := range order {
		name := a.upgrade.ID
		for n := 2; name == "" || hasName(named, name); n++ { // the same upgrade over other code
			name = fmt.Sprintf("%s-%d", a.upgrade.ID, n)
		}
		u := a.upgrade
		if u.DeployedAt = a.at; a.signed {
			u.Signature = &Signature{Key: a.key, Image: a.image, ImageCode: a.imageCode}
		}
		named[name] = u
		for _, id := range groups[a] {
			if s := of[id].Signature; s != nil {
				machines[id] = []any{name, s.SignedAtMS, s.Value}
			} else {
				machines[id] = name
			}
		}
	}
	return named, machines
}

func hasName(named map[string]HotUpgrade, name string) bool {
	_, has := named[name]
	return has
}
