package engine

// Vitals is how a machine does at one time. The agent in its VM looks every two seconds, from the download to the end of the watch.
type Vitals struct {
	Memory     int64  `json:"memory"`               // of the VM, bytes
	RunQueue   int    `json:"run_queue"`            // processes that wait for a scheduler
	Processes  int    `json:"processes"`            // of the VM
	Mailbox    int    `json:"mailbox"`              // messages in the longest mailbox of the upgrade's processes and of those with names
	MailboxOf  string `json:"mailbox_of,omitempty"` // the module, or the name, of the process that has it
	Schedulers *int   `json:"schedulers,omitempty"` // how busy they were, percent; nil if unknown
	Crashes    int    `json:"crashes"`              // in the last minute, in whatever code
	Restarts   int    `json:"restarts"`             // by supervisors, in the last minute
	// Fly's health checks.
	ChecksPassed int `json:"checks_passed"`
	ChecksTotal  int `json:"checks_total"`
	// Before is how the machine did right before the commit; nil until then.
	Before *Vitals `json:"before,omitempty"`
}

// maxBusy is how many of the last looks MachineProgress.Busy has.
const maxBusy = 16

// takeVitals keeps the last vitals, and of the looks before them only how busy the schedulers were.
func (m *MachineProgress) takeVitals(v *Vitals) {
	if v == nil {
		return
	}
	m.Vitals = v
	if v.Schedulers == nil {
		return
	}
	if v.Before != nil {
		m.BusySince = min(m.BusySince+1, maxBusy)
	}
	if len(m.Busy) == maxBusy {
		m.Busy = append(m.Busy[:0], m.Busy[1:]...)
	}
	m.Busy = append(m.Busy, *v.Schedulers)
}
