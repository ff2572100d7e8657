package machine

import "errors"

// Why a machine does not do what it is asked to. Errors that wrap one of these begin with its text, as messages of Fly's
// API do.
var (
	// ErrInvalid says that the request is wrong, whatever the machine's state.
	ErrInvalid = errors.New("invalid_argument")
	// ErrState says that the machine cannot do this in its present state.
	ErrState = errors.New("failed_precondition")
	// ErrBusy says that the machine has too much to do already.
	ErrBusy = errors.New("aborted")
	// ErrNoCapacity says that no host in the region has room for a machine.
	ErrNoCapacity = errors.New("aborted: could not reserve resource for machine")
	// ErrQuota says that the organisation may not use more in the region. Source: Kilo-Org/cloud, pull request 516.
	ErrQuota = errors.New("over the allowed quota")
	// ErrClosed says that the fleet comes to its end.
	ErrClosed = errors.New("the local fly is closing")
)
