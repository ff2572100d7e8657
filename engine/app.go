package engine

import "time"

// FlyApp is one of the Fly apps that a token may see.
type FlyApp struct {
	Name     string
	Org      string    // its organisation's slug
	Status   string    // deployed, suspended, pending, …
	Deployed time.Time // its last release; zero where it has none
	Here     bool      // fly.toml in the working folder is its
	Opened   time.Time // when the console was last opened on it on this computer; zero: never
}

// SetupStep is one thing that must be right before an app can be upgraded.
type SetupStep struct {
	Title    string
	Status   Status   // done, failed, or unknown where it could not be looked at
	Text     string   // what was found
	Commands []string // what puts it right, to be copied
}
