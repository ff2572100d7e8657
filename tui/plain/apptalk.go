package plain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/tui/view"
)

// ChooseApp asks which app is meant, "" for none.
func ChooseApp(ctx context.Context, o Options) (string, error) {
	a, stop := newAccessible(o)
	defer stop()
	_, err := a.askApp(ctx)
	return a.app, errors.Join(err, a.out.err, context.Cause(ctx))
}

// openApp asks for another app; false where this console ends.
func (a *accessible) openApp(ctx context.Context) bool {
	again, err := a.askApp(ctx)
	if err != nil {
		a.printLines(view.Problem(engine.AsProblem(err), accessibleWidth))
	}
	return again && a.app == ""
}

// askApp tells the apps, and takes the number of one, or words that only one has. again is false where the input has ended.
func (a *accessible) askApp(ctx context.Context) (again bool, err error) {
	a.print("Asking Fly for the apps.\n")
	apps, err := a.o.Apps(ctx)
	if err != nil {
		return true, err
	}
	slices.SortStableFunc(apps, view.ByLastOpened)
	for i, app := range apps {
		a.print("app %d: %s\n", i+1, appWords(app, time.Now()))
	}
	for {
		typed, ok := a.ask(ctx, "Number of the app to open, or words of its name; Enter alone goes back:")
		if !ok || typed == "" {
			return ok, nil
		}
		app, why := meantApp(apps, typed)
		if why != "" {
			a.print("%s\n", why)
			continue
		}
		if app != a.o.App { // the one that is open stays open
			a.app = app
		}
		return true, nil
	}
}

func appWords(app engine.FlyApp, now time.Time) string {
	words := sprintf("%s, organisation %s, %s", app.Name, app.Org, app.Status)
	if !app.Opened.IsZero() {
		words += ", opened here " + view.Ago(now.Sub(app.Opened))
	}
	if app.Here {
		words += ", of this folder"
	}
	return words
}

// meantApp is the app of a number, or the only one whose name has the words; else why there is none.
func meantApp(apps []engine.FlyApp, typed string) (name, why string) {
	if n, err := strconv.Atoi(typed); err == nil {
		if n < 1 || n > len(apps) {
			return "", "There is no app number " + typed + "."
		}
		return apps[n-1].Name, ""
	}
	var found []string
	for i, app := range apps {
		switch {
		case app.Name == typed:
			return typed, ""
		case view.Filtered(typed, app.Name):
			found = append(found, fmt.Sprintf("%d, %s", i+1, app.Name))
			name = app.Name
		}
	}
	switch len(found) {
	case 0:
		return "", "No app is called so."
	case 1:
		return name, ""
	}
	return "", "Several apps have that: " + strings.Join(found, "; ") + "."
}
