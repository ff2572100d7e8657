Code.require_file("bucket.exs", __DIR__)

defmodule FlyDeploy.SignatureTest do
  use ExUnit.Case

  import ExUnit.CaptureLog
  import FlyDeploy.TestBucket, only: [put: 3, asked: 1]

  alias FlyDeploy.{Events, Look, Metadata, Newest, Preparation, Signature, Survival, TestBucket, Version}
  alias FlyDeployAgent.{Json, Package}

  doctest Signature
  doctest Newest

  @image "registry.fly.io/my-app:deployment-01A"
  @current "releases/my_app-current.json"
  @tarball "releases/my_app-1.2.4.tar.gz"

  # flydeploy's console has made them: engine/sign.
  defp vectors,
    do: __DIR__ |> Path.join("signatures.json") |> File.read!() |> FlyDeploy.Json.decode() |> elem(1)

  defp read(upgrade, machine \\ "m1") do
    {:ok, read} =
      %{image_ref: @image, hot_upgrade: upgrade} |> Json.encode() |> Metadata.upgrade(@image, "", machine)

    read
  end

  defp here(more \\ %{}),
    do: Map.merge(%{fly_app: "my-app", otp_app: "my_app", image: @image, image_code: "", machine: "m1"}, more)

  defp keys(texts) do
    {:ok, keys} = Signature.keys(public_key: texts)
    keys
  end

  describe "a console's signature" do
    test "is verified, of the very bytes that it has signed" do
      for %{"upgrade" => upgrade, "message" => message, "public_key" => key, "key_id" => id} <- vectors() do
        [{^id, _}] = keys = keys(key)
        machine = upgrade["signature"]["machine"] || "m1"
        assert Signature.message(read(upgrade), here()) == message
        assert Signature.verify(read(upgrade), keys, here(%{machine: machine})) == :ok
      end
    end

    test "is of this upgrade, app, image and machine" do
      [%{"upgrade" => upgrade, "public_key" => key}, %{"upgrade" => of_another_machine} | _] = vectors()
      verify = fn upgrade, more -> Signature.verify(read(upgrade), keys(key), here(more)) end
      assert verify.(upgrade, %{}) == :ok

      for {field, value} <- [
            {"version", "1.2.5"},
            {"sha256", String.duplicate("0e", 32)},
            {"size", 1},
            {"id", "01K93QYYYYYYYYYYYYYYYYYYYY"},
            {"source_image_ref", ""},
            {"deployed_at", nil},
            {"fingerprint", "00"},
            {"git_revision", "00"},
            {"release_command", ""},
            {"apply_config", true},
            {"apply_children", "keep"},
            {"agent", nil}
          ],
          do: assert({:error, "its signature is not" <> _} = verify.(Map.put(upgrade, field, value), %{}))

      for {field, value} <- [
            {"sha256", String.duplicate("0b", 32)},
            {"size", 1},
            {"source", ""},
            {"otp", "2"},
            {"elixir", "1"}
          ],
          do: assert({:error, _} = verify.(put_in(upgrade["agent"][field], value), %{}))

      for {field, value} <- [
            {"image", @image},
            {"image_code", ""},
            {"machine", "m1"},
            {"signed_at_ms", 0},
            {"value", ""}
          ],
          do:
            assert(
              {:error, "its signature is not" <> _} = verify.(put_in(upgrade["signature"][field], value), %{})
            )

      assert {:error, "it is not signed"} = verify.(Map.delete(upgrade, "signature"), %{})
      assert {:error, "it is not signed"} = verify.(put_in(upgrade["signature"]["value"], "?"), %{})

      assert {:error, "it is signed with a key" <> _} =
               verify.(put_in(upgrade["signature"]["key"], "0123456789abcdef"), %{})

      assert {:error, _} = verify.(upgrade, %{fly_app: "staging"})
      assert {:error, _} = verify.(upgrade, %{otp_app: "other"})
      assert {:error, "it was signed for another image"} = verify.(upgrade, %{image: @image <> "C"})
      assert {:error, "it was signed for another image of" <> _} = verify.(upgrade, %{image_code: "0ther"})
      assert {:error, "it was signed for another machine"} = verify.(of_another_machine, %{})
    end

    test "for it that no upgrade is named is of the very bytes that it has signed" do
      {:ok, %{"own_code" => signed, "message" => message}} =
        __DIR__ |> Path.join("own_code.json") |> File.read!() |> FlyDeploy.Json.decode()

      signature = Metadata.own_code(Json.encode(%{own_code: signed}))
      [%{"public_key" => key} | _] = vectors()
      [{_, public}] = keys(key)
      assert Signature.own_code_message(signature, here()) == message
      assert :crypto.verify(:eddsa, :none, message, signature.value, [public, :ed25519])
    end

    test "of any of several keys counts" do
      [%{"upgrade" => upgrade, "public_key" => key} | _] = vectors()
      {other, _} = :crypto.generate_key(:eddsa, :ed25519)
      other = "flydeploy-public:" <> Base.url_encode64(other, padding: false)
      assert Signature.verify(read(upgrade), keys([other, key]), here()) == :ok
      assert {:error, "it is signed with a key" <> _} = Signature.verify(read(upgrade), keys(other), here())
    end
  end

  # What the hook and a machine that wakes make of a bucket into which somebody else writes.
  describe "an application that names a public key" do
    setup do
      {public, private} = :crypto.generate_key(:eddsa, :ed25519)
      Application.put_env(:fly_deploy, :public_key, "flydeploy-public:" <> Base.url_encode64(public))
      Application.put_env(:fly_deploy, :image_code, "")
      bucket = TestBucket.start(%{@tarball => "a tarball"})

      variables = %{
        "AWS_ACCESS_KEY_ID" => "id",
        "AWS_SECRET_ACCESS_KEY" => "secret",
        "AWS_ENDPOINT_URL_S3" => "http://127.0.0.1:#{bucket.port}",
        "BUCKET_NAME" => "bucket",
        "FLY_APP_NAME" => "my-app",
        "FLY_IMAGE_REF" => @image,
        "FLY_MACHINE_ID" => "m1",
        "RELEASE_ROOT" => "/nowhere"
      }

      System.put_env(variables)
      Version.start(:my_app)
      # Nobody counts boots here.
      :ok = Supervisor.terminate_child(FlyDeploy.Supervisor, Survival)
      on_exit(fn -> {:ok, _} = Supervisor.start_child(FlyDeploy.Supervisor, Survival) end)

      on_exit(fn ->
        for {name, _} <- variables, do: System.delete_env(name)

        for key <- [:running, :public_key, :image_code, :newest, :taken_back_to, :state_dir],
            do: Application.delete_env(:fly_deploy, key)
      end)

      Map.put(bucket, :key, {public, private})
    end

    defp signed({public, private}, at_ms, more \\ %{}, signature \\ %{}) do
      upgrade =
        Map.merge(
          %{
            "version" => "1.2.4",
            "source_image_ref" => "registry.fly.io/my-app:deployment-01B",
            "tarball_url" => "https://s3/bucket/" <> @tarball,
            "sha256" => :sha256 |> :crypto.hash("a tarball") |> Base.encode16(case: :lower),
            "size" => 9,
            "id" => "01K93QXXXXXXXXXXXXXXXXXXXX"
          },
          more
        )

      <<id::binary-size(16), _::binary>> = :sha256 |> :crypto.hash(public) |> Base.encode16(case: :lower)
      empty = %{"key" => id, "image" => @image, "signed_at_ms" => at_ms, "value" => ""}
      signature = Map.merge(empty, signature)
      message = upgrade |> Map.put("signature", signature) |> read() |> Signature.message(here())
      value = :crypto.sign(:eddsa, :none, message, [private, :ed25519])
      Map.put(upgrade, "signature", %{signature | "value" => Base.encode64(value)})
    end

    defp record(objects, upgrade),
      do: put(objects, @current, Json.encode(%{image_ref: @image, hot_upgrade: upgrade}))

    # What stands in the way, of the hook and of a look; neither has fetched anything then.
    defp refused(asked) do
      dir = Path.join(System.tmp_dir!(), "fly_deploy-test-#{System.unique_integer([:positive])}")
      on_exit(fn -> File.rm_rf!(dir) end)
      prepared = Preparation.run(:my_app, dir, fn _ -> :ok end)
      looked = Look.run(%{etag: nil, tries: %{}})
      fetched = Enum.filter(asked(asked), &(&1 == @tarball))

      case {prepared, looked, fetched} do
        {{:error, "hot upgrade 1.2.4 is refused: " <> why}, {:failed, text, _, _}, []} ->
          assert text == "hot upgrade 1.2.4 is refused: " <> why
          why

        # It is fetched, and is no tarball.
        {{:error, _}, {:failed, "hot upgrade 1.2.4 was recorded by a flydeploy that leaves no" <> _, _, _},
         [_]} ->
          nil
      end
    end

    test "loads what is signed", %{objects: objects, asked: asked, key: key} do
      record(objects, signed(key, 1_000))
      assert refused(asked) == nil
    end

    test "loads nothing that is unsigned, altered, a stranger's or another app's", %{
      objects: objects,
      asked: asked,
      key: key
    } do
      upgrade = signed(key, 1_000)
      stranger = :crypto.generate_key(:eddsa, :ed25519)

      for {recorded, why} <- [
            {Map.delete(upgrade, "signature"), "it is not signed"},
            {%{upgrade | "sha256" => String.duplicate("0", 64)}, "its signature is not of this upgrade"},
            {signed(stranger, 1_000), "it is signed with a key that public_key does not name"},
            {put_in(signed(stranger, 1_000)["signature"]["key"], upgrade["signature"]["key"]),
             "its signature is not of this upgrade"},
            {signed(key, 1_000, %{}, %{"machine" => "m2"}), "it was signed for another machine"}
          ] do
        record(objects, recorded)
        assert refused(asked) =~ why
      end

      System.put_env("FLY_APP_NAME", "staging")
      record(objects, upgrade)
      assert refused(asked) =~ "another app's"
    end

    test "loads no tarball that is not the signed one", %{objects: objects, key: key} do
      record(objects, signed(key, 1_000))
      put(objects, @tarball, "a tarbell")
      dir = Path.join(System.tmp_dir!(), "fly_deploy-test-#{System.unique_integer([:positive])}")
      on_exit(fn -> File.rm_rf!(dir) end)

      assert {:error, "the tarball's sha256 is not the recorded one"} =
               Preparation.run(:my_app, dir, fn _ -> :ok end)
    end

    test "loads nothing older than what has run", %{objects: objects, asked: asked, key: key} do
      record(objects, signed(key, 2_000))
      assert refused(asked) == nil
      put(objects, @tarball, "a tarball")
      Agent.update(asked, fn _ -> [] end)
      record(objects, signed(key, 1_999))
      assert refused(asked) == "it is older than what this machine has run"
      # A console's deploy counts from when it began: 01ARYZ6S41… is 1469918176385.
      at = 1_469_918_176_385
      Application.delete_env(:fly_deploy, :newest)
      Events.upgrade_ended(ended("01ARYZ6S410000000000000000-0123"))
      record(objects, signed(key, at - 1))
      assert refused(asked) == "it is older than what this machine has run"
      record(objects, signed(key, at))
      assert refused(asked) == nil
    end

    defp ended(id) do
      %{
        outcome: :committed,
        id: id,
        otp_app: :my_app,
        version: "1.2.3",
        hot_ref: "registry.fly.io/my-app:other",
        modules: 1,
        processes: 1,
        suspended_us: 1
      }
    end

    @tag :tmp_dir
    test "remembers it over restarts in a folder that outlives them", %{
      objects: objects,
      asked: asked,
      key: key,
      tmp_dir: dir
    } do
      restart = fn ->
        for key <- [:newest, :taken_back_to, :running], do: Application.delete_env(:fly_deploy, key)
      end

      Application.put_env(:fly_deploy, :state_dir, dir)
      record(objects, signed(key, 2_000))
      assert refused(asked) == nil
      assert File.ls!(dir) == ["fly_deploy-my_app.newest"]

      restart.()
      Version.start(:my_app)
      Agent.update(asked, fn _ -> [] end)
      record(objects, signed(key, 1_999))
      assert refused(asked) == "it is older than what this machine has run"

      Events.upgrade_ended(ended("01ARYZ6S410000000000000000-0123"))
      restart.()
      Version.start(:my_app)
      record(objects, signed(key, 1_469_918_176_384))
      assert refused(asked) == "it is older than what this machine has run"

      # A trial that expires has left nothing: what is recorded is older, and is what the machine is to run.
      File.write!(Path.join(dir, "fly_deploy-my_app.newest"), "2000")
      restart.()
      tell_of("01ARYZ6S410000000000000000-0123", 60_000)
      assert Version.running().id == "01ARYZ6S410000000000000000"
      restart.()
      Version.start(:my_app)
      record(objects, signed(key, 2_000))
      assert refused(asked) == nil
      Agent.update(asked, fn _ -> [] end)
      tell_of("01ARYZ6S410000000000000000-0123", nil)
      assert refused(asked) == "it is older than what this machine has run"

      # A folder that is not there, or a file that somebody has spoilt, has not forgotten anything.
      File.write!(Path.join(dir, "fly_deploy-my_app.newest"), "x")
      assert refused(asked) =~ "is damaged"
      Application.put_env(:fly_deploy, :state_dir, Path.join(dir, "volume"))
      assert refused(asked) =~ "is not a folder"
    end

    # The console could not record the way back: the record still has the entry of before, of the code that runs.
    @tag :tmp_dir
    test "loads again what it was taken back to, though what it was taken back from is newer", %{
      objects: objects,
      asked: asked,
      key: key,
      tmp_dir: dir
    } do
      restart = fn ->
        for key <- [:newest, :taken_back_to, :running], do: Application.delete_env(:fly_deploy, key)
        Version.start(:my_app)
        put(objects, @tarball, "a tarball")
        Agent.update(asked, fn _ -> [] end)
      end

      Application.put_env(:fly_deploy, :state_dir, dir)
      at = 1_469_918_176_385
      id = "01ARYZ6S410000000000000000-0123"
      before = signed(key, 2_000)
      another = signed(key, 2_001, %{"sha256" => String.duplicate("0", 64)})
      record(objects, before)
      assert refused(asked) == nil

      # The sick upgrade, and the way back within the same deploy.
      tell_of(id, nil)
      restart.()
      assert refused(asked) == "it is older than what this machine has run"
      tell_of(id, nil, %{back: true, sha256: before["sha256"]})
      assert refused(asked) == nil

      for _boot <- 1..2 do
        restart.()
        assert told_of_taken_back() == [before["sha256"]]
        assert refused(asked) == nil
      end

      # Nothing else that is old, and what is newer whatever its version is.
      restart.()
      record(objects, another)
      assert refused(asked) == "it is older than what this machine has run"
      record(objects, signed(key, at + 1, %{"id" => "01ARYZ0000XXXXXXXXXXXXXXXX"}))
      assert refused(asked) == nil

      # Something newer has run since, or has been withdrawn.
      restart.()
      record(objects, before)
      assert told_of_taken_back() == []
      assert refused(asked) == "it is older than what this machine has run"
      tell_of("01ARYZ6T41" <> String.duplicate("0", 16), nil, %{back: true, sha256: before["sha256"]})
      restart.()
      assert refused(asked) == nil
      tell_of("01ARYZ6T41" <> String.duplicate("0", 16), nil)
      restart.()
      assert refused(asked) == "it is older than what this machine has run"
      tell_of("01ARYZ6V41" <> String.duplicate("0", 16), nil, %{back: true, sha256: before["sha256"]})
      withdrawn(objects, key, 1_479_918_176_385)
      assert [] == Enum.filter(asked(asked), &(&1 == @tarball))
      dir = Path.join(dir, "prepared")
      assert {:none, "current.json names none"} = Preparation.run(:my_app, dir, fn _ -> :ok end)
      restart.()
      record(objects, before)
      assert refused(asked) == "it is older than what this machine has run"
    end

    @tag :tmp_dir
    test "tells a console what has run, and on trial what ran before that", %{
      objects: objects,
      asked: asked,
      key: key,
      tmp_dir: dir
    } do
      code = FlyDeploy.Lag.fingerprint()
      assert Package.ran(:my_app) == %{upgrade: "", own: true, newest_ms: 0, code: code}
      record(objects, signed(key, 2_000))
      assert refused(asked) == nil
      assert %{own: true, newest_ms: 2_000} = Package.ran(:my_app)

      id = "01ARYZ6S410000000000000000"
      on_exit(fn -> Application.delete_env(:flydeploy, :trial) end)
      Application.put_env(:flydeploy, :trial, %{id: id, until_ms: System.os_time(:millisecond) + 60_000})
      tell_of(id <> "-0123", 60_000)
      assert Package.ran(:my_app) == %{upgrade: id, own: false, newest_ms: 2_000, code: code}
      Application.delete_env(:flydeploy, :trial)
      assert %{newest_ms: 1_469_918_176_385} = Package.ran(:my_app)

      # An upgrade that was taken back to the image's own code is of that code again.
      Application.put_env(:fly_deploy, :image_code, code)
      assert %{own: true, upgrade: ^id} = Package.ran(:my_app)
      Application.put_env(:fly_deploy, :image_code, "")
      assert %{own: false} = Package.ran(:my_app)

      # Without keys nobody asks for the code.
      Application.delete_env(:fly_deploy, :public_key)
      assert %{own: false, code: ""} = Package.ran(:my_app)

      # Nobody can tell.
      Application.put_env(:fly_deploy, :state_dir, Path.join(dir, "volume"))
      assert Package.ran(:my_app) == nil
    end

    # What hook.exs tells a console, for `flydeploy doctor`.
    defp told_of_taken_back do
      told = __DIR__ |> Path.join("../../hook.exs") |> File.read!() |> Code.eval_string() |> elem(1)
      for {"taken_back_to", sha256} <- told[:keys], do: sha256
    end

    # As the agent tells of an upgrade, on trial or not.
    defp tell_of(id, trial_ms, more \\ %{}) do
      order = %{
        back: false,
        sha256: "",
        id: id,
        otp_app: :my_app,
        version: "1.2.3",
        source_image: "registry.fly.io/my-app:other",
        trial_ms: trial_ms
      }

      order = Map.merge(order, more)
      result = %{outcome: :committed, targets: [], failures: []}
      FlyDeployAgent.Package.tell(order, %{md5: %{}, cell: FlyDeployAgent.Cell.new()}, result)
    end

    # What `flydeploy withdraw` writes, signed then. nil: nobody has signed it.
    defp withdrawn(objects, key, at_ms, more \\ %{}) do
      put(
        objects,
        @current,
        Json.encode(%{image_ref: @image, hot_upgrade: nil, own_code: own_code(key, at_ms, more)})
      )
    end

    defp own_code(_key, nil, _more), do: nil

    defp own_code({public, private}, at_ms, more) do
      <<id::binary-size(16), _::binary>> = :sha256 |> :crypto.hash(public) |> Base.encode16(case: :lower)
      message = Signature.own_code_message(%{signed_at_ms: at_ms}, Map.merge(here(), more))
      value = :crypto.sign(:eddsa, :none, message, [private, :ed25519])
      %{"key" => id, "image" => "", "signed_at_ms" => at_ms, "value" => Base.encode64(value)}
    end

    defp hook do
      log =
        capture_log([level: :warning], fn ->
          send(self(), Preparation.run(:my_app, "/nowhere", fn _ -> :ok end))
        end)

      assert_received {:none, _}
      log
    end

    @tag :tmp_dir
    test "loads nothing that was withdrawn, if somebody writes it back", %{
      objects: objects,
      asked: asked,
      key: key,
      tmp_dir: dir
    } do
      Application.put_env(:fly_deploy, :state_dir, dir)
      recorded = signed(key, 1_000)
      record(objects, recorded)
      assert refused(asked) == nil

      withdrawn(objects, key, 2_000)
      assert hook() == ""
      # A restart later.
      Application.delete_env(:fly_deploy, :newest)
      record(objects, recorded)
      Agent.update(asked, fn _ -> [] end)
      assert refused(asked) == "it is older than what this machine has run"
      record(objects, signed(key, 2_001))
      assert refused(asked) == nil
    end

    test "keeps in mind what it reads when it wakes, also of another image's record", %{
      objects: objects,
      asked: asked,
      key: key
    } do
      recorded = signed(key, 1_000)
      withdrawn(objects, key, 2_000)
      assert {:settled, "this machine runs what is recorded for it", _} = Look.run(%{etag: nil, tries: %{}})
      record(objects, recorded)
      assert refused(asked) == "it is older than what this machine has run"

      Application.delete_env(:fly_deploy, :newest)
      System.put_env("FLY_IMAGE_REF", @image <> "C")
      withdrawn(objects, key, 3_000)
      assert hook() == ""
      assert Newest.known(:my_app) == {:ok, 3_000}
    end

    test "boots the image where a record is gone, and says so", %{objects: objects, key: key} do
      # There has been no deploy.
      assert hook() == ""
      stranger = :crypto.generate_key(:eddsa, :ed25519)

      for {who, at, more, why} <- [
            {key, nil, %{}, "it is not signed"},
            {stranger, 1_000, %{}, "a key that public_key does not name"},
            {key, 1_000, %{fly_app: "staging"}, "another app's, or was altered"}
          ] do
        withdrawn(objects, who, at, more)
        assert hook() =~ why
        assert {:settled, text, _} = Look.run(%{etag: nil, tries: %{}})
        assert text =~ why
        assert Newest.known(:my_app) == {:ok, 0}
      end

      Newest.note(:my_app, 2_000)
      withdrawn(objects, key, 1_999)
      assert hook() =~ "it is older than what this machine has run"
      Agent.update(objects, &Map.delete(&1, @current))
      assert hook() =~ "the record is gone"
      Application.delete_env(:fly_deploy, :public_key)
      assert hook() == ""
    end

    # The lock leads to no code: what stands there keeps a look waiting at most.
    test "waits for a lock that somebody has put there", %{objects: objects, asked: asked, key: key} do
      record(objects, signed(key, 1_000))
      put(objects, "releases/my_app-deploy.lock", ~s({"locked_by": "x", "own_time_ms": 999999999}))
      assert Look.run(%{etag: nil, tries: %{}}) == {:wait, "a deploy is under way"}
      refute @tarball in asked(asked)
    end

    test "loads nothing where the setting holds no key", %{objects: objects, asked: asked, key: key} do
      record(objects, signed(key, 1_000))

      for wrong <- [nil, "", [], "abc", [:key]] do
        Application.put_env(:fly_deploy, :public_key, wrong)
        assert refused(asked) =~ "public_key"
      end
    end

    test "says so in the log, and starts", %{objects: objects, key: key} do
      record(objects, Map.delete(signed(key, 1_000), "signature"))
      log = capture_log(fn -> assert FlyDeploy.startup_reapply_current(:my_app) == :ok end)
      assert log =~ "[error]"
      assert log =~ "could not reapply the hot upgrade: hot upgrade 1.2.4 is refused: it is not signed"
    end

    test "tells a deploy that would not outlive a restart", %{key: key} do
      {:ok, [id]} = Signature.ids()
      assert Package.findings(id) == []
      assert [%{name: "not_signed", severity: :block, detail: detail}] = Package.findings(nil)
      assert detail =~ "key #{id}, and this is not signed: a restart would lead back"
      assert [%{detail: detail}] = Package.findings("0123")
      assert detail =~ "signed with 0123"
      Application.put_env(:fly_deploy, :public_key, nil)
      assert [%{name: "not_signed"}] = Package.findings(id)
      Application.delete_env(:fly_deploy, :public_key)
      assert Package.findings(nil) == []
      assert Package.findings(id) == []
      refute inspect(Package.findings(nil)) =~ inspect(elem(key, 1))
    end
  end
end
