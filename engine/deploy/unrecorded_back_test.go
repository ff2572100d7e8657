package deploy_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"flydeploy/engine"
	"flydeploy/engine/agent/agenttest"
)

// takenBackUnrecorded makes a deploy that is taken back from m00, and cannot write current.json any more from a moment on.
func (s *stage) takenBackUnrecorded(image, from string) {
	s.t.Helper()
	s.SetBuild(image)
	r := s.start(onSick(engine.OnSickBack, engine.StrategyAll))
	watched := func(e engine.Event) bool { return e.Phase == engine.PhaseWatch && e.Machine == "m00" }
	refuse := func() (remove func()) {
		return s.On(agenttest.Match{Kind: agenttest.WriteMetadata}, agenttest.Fail(errors.New("503 SlowDown")))
	}
	var remove func()
	if from == "the beginning" {
		remove = refuse()
	}
	r.until("m00 was watched", watched)
	if from != "the beginning" { // the sick one is recorded
		time.Sleep(2 * time.Second)
		remove = refuse()
	}
	s.Crash("m00", 5)
	if _, result := r.end(); machineOf(result, "m00").Outcome != engine.OutcomeTakenBack {
		s.t.Fatalf("%s: %v", outcomes(result), result.Problem)
	}
	remove()
	time.Sleep(time.Minute)
}

// A deploy was taken back, and could not record it. A machine's VM tells that it runs what was signed before that deploy, so that the way back
// leads there again; but not to the sick upgrade, where that is recorded.
func TestAWayBackThatNobodyRecordedIsGoneAgain(t *testing.T) {
	for name, test := range map[string]struct {
		before  int // deploys
		failing string
		resume  bool
		image   string
		back    string // what it runs then, "" if the way back is refused
		why     string
	}{
		"resumed, the sick one recorded": {1, "its watch", true, agenttest.Image3, "2.0.0", ""},
		"resumed, nothing recorded":      {1, "the beginning", true, agenttest.Image3, "2.0.0", ""},
		"resumed, to the image's code":   {0, "its watch", true, agenttest.Image2, "1.0.0", ""},
		"another, nothing recorded":      {1, "the beginning", false, agenttest.Image3, "2.0.0", ""},
		"another, to the image's code":   {0, "the beginning", false, agenttest.Image2, "1.0.0", ""},
		"another, the sick one recorded": {1, "its watch", false, agenttest.Image3, "", "current.json names 3.0.0 for machine m00, which ran 2.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			signedOn(t, 1, func(t *testing.T, s *stage) {
				s.deploys(test.before)
				s.takenBackUnrecorded(test.image, test.failing)
				settings := onSick(engine.OnSickBack, engine.StrategyAll)
				settings.Resume = test.resume
				if !test.resume {
					s.SetBuild(image4)
				}
				p, r := s.sick(settings, "m00")
				if test.back == "" {
					s.isOlder(r.Machines[0], "4.0.0", test.why)
					return
				}
				if outcomes(r) != "m00 taken_back" {
					t.Fatalf("%s: %v\n%s", outcomes(r), r.Problem, logOf(p))
				}
				s.runs(test.back, "m00")
				if u, ok := s.Current().UpgradeOf(engine.Machine{ID: "m00", Image: agenttest.Image1}); ok && !strings.HasPrefix(test.back, u.Version) {
					t.Errorf("current.json names %s", u.Version)
				}
				s.nothingLeft()
			})
		})
	}
}
