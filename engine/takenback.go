package engine

import (
	"encoding/json"
	"slices"
	"time"
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
