package engine

// CheckStatus is how one check of the doctor has ended.
type CheckStatus string

// The statuses of checks. A check is skipped if it needs another one to succeed first.
const (
	CheckOK      CheckStatus = "ok"
	CheckWarn    CheckStatus = "warn"
	CheckFail    CheckStatus = "fail"
	CheckSkipped CheckStatus = "skipped"
)

// Check is the outcome of one check, a line of the doctor's report.
type Check struct {
	Name    string      `json:"name"`
	Status  CheckStatus `json:"status"`
	Machine string      `json:"machine,omitempty"`
	Text    string      `json:"text"`
	Remedy  string      `json:"remedy,omitempty"`
}

// FailedCheck gives the failed check for an error.
func FailedCheck(name string, err error) Check {
	p := AsProblem(err)
	return Check{Name: name, Status: CheckFail, Text: p.What, Remedy: p.Remedy}
}
