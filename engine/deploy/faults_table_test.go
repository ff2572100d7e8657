package deploy_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"flydeploy/engine"
	"flydeploy/fly/local"
)

const (
	lostWork  = `{"error":"deadline_exceeded"}`
	noRoom    = `{"error":"aborted: could not reserve resource for machine: insufficient memory available to fulfill request"}`
	noHost    = `{"error":"insufficient resources to create new machine with existing volume"}`
	noneLeft  = `{"error":"no capacity","status":"insufficient_capacity"}`
	oneOnly   = `{"error":"To create more than 1 machine per app please add a payment method."}`
	overQuota = `{"error":"organization \"Acme\" is using 1970176 MB of memory in ams which is over the allowed quota. please consider other regions"}`
)

// faultTable is every cell.
func faultTable() []*cell {
	var all []*cell
	for _, rows := range [][]*cell{
		passingFaultsOfTheAPI(), passingFaultsOfS3(), fullRegions(), rejections(), deaths(), surroundings(), whileWatched(), releaseCommands(), refusalsOfS3(), damages(),
	} {
		all = append(all, rows...)
	}
	return all
}

// met is a fault that meets each of the moments once. again: the deploy sends the request once more.
func met(fault string, moments []moment, again bool, effect local.Effect) *cell {
	return &cell{
		fault: fault, moments: moments, outcome: engine.OutcomeSucceeded,
		prepare: func(w *faultWorld, _ *engine.Settings) func() {
			w.clock.again = again
			for _, m := range moments {
				w.clock.at(m, effect)
			}
			return nil
		},
	}
}

// What passes is looked up or asked again: one deploy meets the fault at every moment, and succeeds.
func passingFaultsOfTheAPI() []*cell {
	var exec []moment
	for _, m := range apiMoments {
		if strings.HasPrefix(m.request, "exec ") {
			exec = append(exec, m)
		}
	}
	long := momentsOf(apiMoments, "exec start tarball", "exec start agent", "exec start upload", "exec wait")
	return []*cell{
		met("408 after the work was done", apiMoments, true, local.Forget(http.StatusRequestTimeout, lostWork)),
		{
			fault: "408 for every call that lasts", moments: long, outcome: engine.OutcomeSucceeded,
			prepare: func(w *faultWorld, _ *engine.Settings) func() {
				for _, m := range long {
					w.clock.from(m, local.ForgetSlow(time.Second, http.StatusRequestTimeout, lostWork))
				}
				return nil
			},
		},
		met("latency", apiMoments, false, local.Delay(time.Second)),
		met("408 before the work", apiMoments, true, local.Refuse(http.StatusRequestTimeout, lostWork)),
		met("429", apiMoments, true, local.Refuse(http.StatusTooManyRequests, `{"error":"rate limit exceeded"}`)),
		met("500", apiMoments, true, local.Refuse(http.StatusInternalServerError, `{"error":"internal"}`)),
		met("502 that is not JSON", apiMoments, true, local.Forget(http.StatusBadGateway, "<html>Bad Gateway</html>")),
		met("connection cut before the work", apiMoments, true, local.Cut()),
		met("connection cut after the work", apiMoments, true, local.CutAfter(0)),
		met("answer cut in the middle", apiMoments, true, local.CutAfter(10)),
		met("output of exec cut", exec, true, local.AlterExec(func(r *local.ExecResult) { r.Stdout = r.Stdout[:len(r.Stdout)/2] })),
		met("output of exec lost", exec, true, local.AlterExec(func(r *local.ExecResult) { r.Stdout = "" })),
		met("wrong exit code", exec, false, local.AlterExec(func(r *local.ExecResult) { r.ExitCode = 137 })),
	}
}

func s3Refusal(status int, code string) local.Effect {
	return local.Refuse(status, fmt.Sprintf("<Error><Code>%s</Code><Message>made up</Message></Error>", code))
}

// consoles are the requests to S3 that the console makes itself, whose client asks again.
func consoles() []moment {
	return momentsOf(s3Moments, "GET lock", "PUT lock", "PUT source", "HEAD agent", "HEAD tarball", "GET metadata", "PUT metadata", "PUT results", "PUT released lock")
}

func passingFaultsOfS3() []*cell {
	return []*cell{
		met("S3 answers 500", consoles(), true, s3Refusal(http.StatusInternalServerError, "InternalError")),
		met("S3 answers 408", consoles(), true, s3Refusal(http.StatusRequestTimeout, "RequestTimeout")),
		met("S3 answers 409", momentsOf(s3Moments, "PUT lock", "PUT metadata", "PUT results"), true, s3Refusal(http.StatusConflict, "ConditionalRequestConflict")),
		met("S3 loses its answer", consoles(), true, local.Forget(http.StatusInternalServerError, "")),
		met("S3 cuts the connection", consoles(), true, local.Cut()),
		met("S3 is slow", s3Moments, false, local.Delay(time.Second)),
		met("S3 trickles", momentsOf(s3Moments, "GET tarball", "GET metadata"), false, local.Trickle(200_000, 100*time.Millisecond)),
	}
}

// failing is a fault that ends the deploy, one cell for each moment.
func failing(fault string, moments []moment, effect func(w *faultWorld) local.Effect, says ...string) []*cell {
	var cells []*cell
	for _, m := range moments {
		cells = append(cells, &cell{
			fault: fault, moments: []moment{m}, outcome: engine.OutcomeFailed, says: says,
			prepare: func(w *faultWorld, _ *engine.Settings) func() {
				w.clock.from(m, effect(w))
				return nil
			},
		})
	}
	return cells
}

func always(e local.Effect) func(*faultWorld) local.Effect {
	return func(*faultWorld) local.Effect { return e }
}

// fullRegions: Fly has no room for the temporary machine in the app's region, or in none.
func fullRegions() []*cell {
	at := momentsOf(apiMoments, "create")
	none := failing("no region has room", at, always(local.Refuse(http.StatusConflict, noRoom)), "no region has room", "ams: 409", "any: 409")
	return append(append(none, failing("no region changes it", at, always(local.Refuse(http.StatusUnprocessableEntity, oneOnly)), "422 To create more than 1 machine")...),
		met("the region is full", at, true, local.Refuse(http.StatusConflict, noRoom)),
		met("no host of the region fits", at, true, local.Refuse(http.StatusPreconditionFailed, noHost)),
		met("the region has no capacity left", at, true, local.Refuse(http.StatusBadRequest, noneLeft)),
		met("the region's quota is used up", at, true, local.Refuse(http.StatusForbidden, overQuota)),
	)
}

// rejections: the platform takes a request for too large, which no repetition changes.
func rejections() []*cell {
	at := momentsOf(apiMoments, "exec storage", "exec start tarball", "exec start agent", "exec start upload", "exec inject", "exec wait", "exec arm", "exec commit")
	return failing("16 KB rejection", at, always(local.PayloadTooLarge()), "too large")
}

// deaths: a machine ends or restarts before, in and after the work of a request.
func deaths() []*cell {
	at := momentsOf(apiMoments, "exec discover", "exec inject", "exec wait", "exec arm", "exec commit")
	before := func(do func(*local.Fly, string) error) func(w *faultWorld) local.Effect {
		return func(w *faultWorld) local.Effect {
			return once(func() { w.must(do(w.local, w.id)) }, nil)
		}
	}
	after := func(do func(*local.Fly, string) error) func(w *faultWorld) local.Effect {
		return func(w *faultWorld) local.Effect {
			return once(nil, func() { w.must(do(w.local, w.id)) })
		}
	}
	var all []*cell
	all = append(all, failing("machine killed before", at, before((*local.Fly).Crash))...)
	all = append(all, failing("machine killed after", at, after((*local.Fly).Crash))...)
	all = append(all, failing("machine restarted before", at, before((*local.Fly).Restart))...)
	all = append(all, failing("machine restarted after", at, after((*local.Fly).Restart))...)
	for _, c := range all { // it is waited for while it is staged, and staged again before it is armed
		c.mayPass = c.moments[0].request != "exec commit" && c.moments[0] != momentOf("exec discover", 1)
	}
	temporary := func(w *faultWorld) local.Effect {
		return once(func() { w.must(w.local.Crash(w.temporaryMachines()[0])) }, nil)
	}
	all = append(all, failing("temporary machine killed before", momentsOf(apiMoments, "exec start tarball", "exec start agent", "exec start upload"), temporary)...)
	return all
}

func refusalsOfS3() []*cell {
	var all []*cell
	all = append(all, failing("S3 answers 403", s3Moments, always(s3Refusal(http.StatusForbidden, "AccessDenied")), "403")...)
	all = append(all, failing("S3 answers 404", momentsOf(s3Moments, "PUT lock", "GET tarball", "PUT metadata"), always(s3Refusal(http.StatusNotFound, "NoSuchBucket")))...)
	all = append(all, failing("S3 answers 412", momentsOf(s3Moments, "PUT lock", "PUT metadata", "PUT released lock"), always(s3Refusal(http.StatusPreconditionFailed, "PreconditionFailed")))...)
	all = append(all, failing("S3 answers 500 to a machine", momentsOf(s3Moments, "GET source", "PUT agent", "GET agent", "PUT tarball", "GET tarball"), always(s3Refusal(http.StatusInternalServerError, "InternalError")), "500")...)
	for _, c := range all {
		if m := c.moments[0]; m.request == "PUT results" || m.request == "PUT released lock" {
			c.outcome = engine.OutcomeSucceeded // the machines are upgraded, and that is recorded
		}
	}
	return all
}

func damages() []*cell {
	at := momentsOf(s3Moments, "GET tarball")
	altered := failing("tarball altered", at, always(local.Alter(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })), "sha256")
	agent := failing("compiled agent altered", momentsOf(s3Moments, "GET agent"), always(local.Alter(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })), "sha256 of the compiled agent", "who else writes")
	source := failing("agent's source altered", momentsOf(s3Moments, "GET source"), always(local.Alter(func(b []byte) []byte { b[len(b)/2] ^= 1; return b })), "downloading the agent's source", "who else writes")
	var all []*cell
	all = append(all, altered...)
	all = append(all, agent...)
	all = append(all, source...)
	all = append(all, failing("tarball truncated", at, always(local.Alter(func(b []byte) []byte { return b[:len(b)/2] })), "bytes")...)
	all = append(all, failing("tarball cut in the middle", at, always(local.CutAfter(100_000)))...)
	garbage := always(local.Alter(func([]byte) []byte { return []byte("<html>maintenance</html>") }))
	all = append(all, failing("garbage", momentsOf(s3Moments, "GET metadata"), garbage, "current.json")...)
	return all
}
