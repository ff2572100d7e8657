package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"flydeploy/engine"
	"flydeploy/fly"
	"flydeploy/tui/views"
)

// opened remembers on this computer on which apps the console was opened last.
type opened struct{ file string }

const maxOpened = 50

// remembered is the place of something in the user's cache folder, "" where there is none, and nothing is remembered.
func remembered(name string) string {
	cache, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(cache, "flydeploy", name)
}

func openedApps() opened { return opened{remembered("apps.json")} }

// keptViews are the filters that were kept for an app.
func keptViews(app string) views.Store { return views.Of(remembered("views"), app) }

// read gives when each app was opened; nothing where that cannot be read.
func (o opened) read() map[string]time.Time {
	when := map[string]time.Time{}
	if body, err := os.ReadFile(o.file); err == nil {
		_ = json.Unmarshal(body, &when)
	}
	return when
}

// add remembers that an app is opened now. What cannot be remembered is forgotten.
func (o opened) add(app string, now time.Time) {
	if o.file == "" || app == "" {
		return
	}
	when := o.read()
	when[app] = now.UTC().Truncate(time.Second)
	for len(when) > maxOpened {
		oldest := app
		for name, at := range when {
			if at.Before(when[oldest]) {
				oldest = name
			}
		}
		delete(when, oldest)
	}
	body, err := json.Marshal(when)
	if err != nil || os.MkdirAll(filepath.Dir(o.file), 0o700) != nil {
		return
	}
	_ = os.WriteFile(o.file, append(body, '\n'), 0o600)
}

// listApps gives the apps of the token; here is the one of fly.toml, "" for none.
func listApps(here string) func(context.Context) ([]engine.FlyApp, error) {
	return func(ctx context.Context) ([]engine.FlyApp, error) {
		token, _, err := fly.Token()
		if err != nil {
			return nil, err
		}
		apps, err := fly.Apps(ctx, fly.Options{Token: token, UserAgent: "flydeploy/" + version})
		when := openedApps().read()
		for i := range apps {
			apps[i].Here, apps[i].Opened = apps[i].Name == here, when[apps[i].Name]
		}
		return apps, err
	}
}
