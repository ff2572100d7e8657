package engine

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func upgradeNo(id string) HotUpgrade {
	return HotUpgrade{
		Version: "2.0.0", SourceImageRef: "registry.fly.io/counter:deployment-01K94R", TarballURL: "https://fly.storage.tigris.dev/bucket/releases/counter-2.0.0.tar.gz",
		DeployedAt: time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC), SHA256: strings.Repeat("0f", 32), Size: 4_512_345, ID: id, Fingerprint: strings.Repeat("c0", 16),
		Agent: CompiledAgent{URL: "https://fly.storage.tigris.dev/bucket/releases/counter-agent-0a1b.beams", SHA256: strings.Repeat("0a", 32), Size: 90_123},
	}
}

// What is written is read back, and an upgrade that many machines run takes hardly more room than one of one machine.
func TestCurrentJSONNamesUpgradesOnce(t *testing.T) {
	md := Metadata{ImageRef: "i:v1", MachineUpgrades: map[string]HotUpgrade{}, Extra: map[string]json.RawMessage{"theirs": json.RawMessage(`{"a":1}`)}}
	for i := range 1000 {
		id := fmt.Sprintf("148e%010d", i)
		u := upgradeNo("01B")
		switch u.ByName = true; {
		case i < 5: // whose hook reads no names
			u.ByName = false
		case i < 20:
			u.ID = "01A"
		case i < 30: // the same upgrade over other code
			u.Fingerprint = strings.Repeat("d0", 16)
		case i < 40:
			u.ID = ""
		case i < 50:
			u.Signature = &Signature{Key: "0123", Image: "i:v1", Machine: id, SignedAtMS: int64(i), Value: []byte(id)}
		case i == 50: // one that is alone
			u.ID = "01C"
		case i < 55: // signed for all machines: it must not become one's
			u.Signature = &Signature{Key: "0123", Image: "i:v1", SignedAtMS: int64(i), Value: []byte(id)}
		}
		md.MachineUpgrades[id] = u
	}
	body, err := EncodeMetadata(md)
	if err != nil {
		t.Fatal(err)
	}
	again, err := EncodeMetadata(md)
	if err != nil || string(again) != string(body) {
		t.Errorf("it is not written alike twice: %v", err)
	}
	if len(body) > 80_000 {
		t.Errorf("%d bytes for 1000 machines", len(body))
	}
	if n := strings.Count(string(body), `"tarball_url"`); n != 5+1+1+1+1+1+1+4 { // whole: 5, alone, signed for all; by name: 01A, both 01B, "", the signed ones
		t.Errorf("upgrades are written %d times", n)
	}
	read, err := DecodeMetadata(body)
	if err != nil {
		t.Fatal(err)
	}
	for id, u := range md.MachineUpgrades {
		got := read.MachineUpgrades[id]
		got.ByName = u.ByName // of one that is alone
		if !reflect.DeepEqual(got, u) {
			t.Errorf("machine %s: read %+v, written %+v", id, got, u)
		}
	}
	if len(read.MachineUpgrades) != 1000 || len(read.Extra) != 1 || !read.MachineUpgrades["148e0000000999"].ByName || read.MachineUpgrades["148e0000000000"].ByName {
		t.Errorf("read %d machines, the unknown fields %v", len(read.MachineUpgrades), read.Extra)
	}
}

// A reader that knows no names must not take one for an upgrade, nor overlook it.
func TestAReaderThatKnowsNoNamesRefusesThem(t *testing.T) {
	signed := upgradeNo("01A")
	signed.Signature = &Signature{Key: "0123"}
	for _, u := range []HotUpgrade{upgradeNo("01A"), signed} {
		md := Metadata{ImageRef: "i:v1", MachineUpgrades: map[string]HotUpgrade{}}
		for _, id := range []string{"m1", "m2"} {
			if u.ByName = true; u.Signature != nil {
				u.Signature = &Signature{Key: "0123", Machine: id}
			}
			md.MachineUpgrades[id] = u
		}
		body, err := EncodeMetadata(md)
		if err != nil {
			t.Fatal(err)
		}
		var old struct {
			MachineUpgrades map[string]HotUpgrade `json:"machine_upgrades"`
		}
		if err := json.Unmarshal(body, &old); err == nil {
			t.Errorf("it reads %+v of\n%s", old.MachineUpgrades, body)
		}
	}
}

func TestADamagedEntryIsNone(t *testing.T) {
	for _, entry := range []string{`"01B"`, `["01B", 1, "AA=="]`, `["01A", "x", "AA=="]`, `["01A", 1, "?"]`, `7`, `["01A", 1, 2]`} {
		body := `{"image_ref":"i:v1","upgrades":{"01A":{"version":"2.0.0","signature":{"key":"0123"}}},"machine_upgrades":{"m1":` + entry + `}}`
		if md, err := DecodeMetadata([]byte(body)); err == nil {
			t.Errorf("%s is read as %+v", entry, md.MachineUpgrades)
		}
	}
	old, err := DecodeMetadata([]byte(`{"image_ref":"i:v1","machine_upgrades":{"m1":{"version":"2.0.0"}}}`))
	if err != nil || old.MachineUpgrades["m1"].Version != "2.0.0" || old.MachineUpgrades["m1"].ByName {
		t.Errorf("an older record: %+v, %v", old, err)
	}
}
