package cli

import (
	"context"
	"strings"

	"flydeploy/engine"
)

// sheet tells what a deploy would be, before anything of it begins. earlier says that it may be one of an earlier deploy's code.
func (d deploySettings) sheet(ctx context.Context, earlier bool) (engine.Sheet, error) {
	if !earlier {
		d.engine.Resume, d.engine.To = false, ""
	}
	ctx, cancel := context.WithTimeout(ctx, identityWithin)
	defer cancel()
	s := engine.Sheet{
		Source: d.source(), Resumes: d.engine.Resume, Strategy: d.engine.Strategy, Message: d.engine.Message,
	}
	if d.builds() {
		s.Revision, s.Dirty = strings.CutSuffix(gitRevision(ctx, d.dir()), "-dirty")
		s.Subject = gitSubject(ctx, d.dir())
	}
	return s, nil
}

// builds reports whether the code is what lies in the app's folder.
func (d *deploySettings) builds() bool {
	return !d.engine.Resume && d.engine.To == "" && d.engine.Image == "" && d.builder.Prebuilt == ""
}

// source says where the code of a deploy comes from.
func (d *deploySettings) source() string {
	switch {
	case d.engine.Resume:
		return "what the last deploy has built, to finish it"
	case d.engine.To != "":
		return "the code of deploy " + d.engine.To
	case d.engine.Image != "":
		return "the image " + d.engine.Image
	case d.builder.Prebuilt != "":
		return "the image " + d.builder.Prebuilt
	case d.foreign:
		return "nothing: this folder is not the app's"
	case d.config == "":
		return "a build of this folder"
	}
	return "a build of " + d.config
}
