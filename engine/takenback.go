package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"flydeploy/text"
)

// OnSick says what becomes of an upgrade that is not well, where nobody is asked.
type OnSick string

// What --on-sick says.
const (
	OnSickStop     OnSick = "stop"     // nothing further starts
	OnSickBack     OnSick = "back"     // the machines that took it get the code back that they ran before
	OnSickContinue OnSick = "continue" // the others are upgraded all the same
)

// OnSickWays lists them.
var OnSickWays = []OnSick{OnSickStop, OnSickBack, OnSickContinue}

// TakenBack is an upgrade that was not well, and was taken back. current.json keeps the last ones, so that none is deployed again
// without a word.
type TakenBack struct {
	ID      string    `json:"id"` // of the upgrade
	Version string    `json:"version"`
	SHA256  string    `json:"sha256"`
	At      time.Time `json:"at"`
	Why     string    `json:"why"`
}

const (
	takenBackField = "taken_back" // of current.json
	takenBackKept  = 10
)

// TakenBack gives what was taken back, newest first. What cannot be read is not told.
func (md *Metadata) TakenBack() []TakenBack {
	var all []TakenBack
	if json.Unmarshal(md.Extra[takenBackField], &all) != nil {
		return nil
	}
	return all
}

// AddTakenBack adds what was taken back; the same upgrade is kept once.
func (md *Metadata) AddTakenBack(t TakenBack) {
	others := slices.DeleteFunc(md.TakenBack(), func(other TakenBack) bool { return other.ID == t.ID })
	all := append([]TakenBack{t}, others...)
	body, err := json.Marshal(all[:min(len(all), takenBackKept)])
	if err != nil {
		return
	}
	extra := withoutField(md.Extra, takenBackField)
	extra[takenBackField] = body
	md.Extra = extra
}

// WayOfProcesses is which way the processes of changed modules went back. Kept are those that kept their states, Migrated those of them
// whose code_change took them back, Fresh those that were ended, to be started again by their supervisors.
type WayOfProcesses struct {
	Kept     int `json:"kept"`
	Migrated int `json:"migrated,omitempty"`
	Fresh    int `json:"fresh,omitempty"`
}

// Plus adds other, which may be nil.
func (w WayOfProcesses) Plus(other *WayOfProcesses) WayOfProcesses {
	if other == nil {
		return w
	}
	return WayOfProcesses{w.Kept + other.Kept, w.Migrated + other.Migrated, w.Fresh + other.Fresh}
}

// String says it in words: "12 processes kept their states, 3 of them by code_change; 2 started afresh".
func (w WayOfProcesses) String() string {
	says := text.Counted(w.Kept, "process") + " kept their states"
	if w.Kept == 1 {
		says = "1 process kept its state"
	}
	if w.Migrated > 0 {
		says += fmt.Sprintf(", %d of them by code_change", w.Migrated)
	}
	if w.Kept == 1 && w.Migrated == 1 {
		says = "1 process kept its state, by code_change"
	}
	if w.Fresh == 0 {
		return says
	}
	return says + "; " + text.Counted(w.Fresh, "process") + " started afresh"
}
