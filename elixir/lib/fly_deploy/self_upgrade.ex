defmodule FlyDeploy.SelfUpgrade do
  @moduledoc false

  # Upgrades this VM as a console would: with the same agent, which the console has left compiled in the bucket, the same
  # orders in the same order, and the same window. Nobody is asked: what a plan would ask about is not done.

  alias FlyDeploy.{AgentCode, AppliedConfig, Json, Metadata, Settings, Storage}

  @doc """
  `{:ok, text}`: the upgrade is applied. `{:busy, text}`: another deploy is at work in this VM. `{:unfetched, text}`: something
  could not be had from the bucket; nothing was changed. `{:refused, text}`: it cannot be applied while the VM runs, or was
  rolled back.
  """
  @type result :: {:ok | :busy | :unfetched | :refused, String.t()}

  # The presigned URL is used at once, and the agent waits for nobody.
  @url_valid_s 900
  @staged_ms 300_000
  # From here to the end.
  @within_ms 600_000
  @poll_ms 100
  @terminal ~w(committed rolled_back rolled_back_with_losses failed aborted expired stale)
  # Failures of an agent that had suspended nothing, which may be others in a minute.
  @passing ~w(download_failed truncated code_server_busy disk_full)

  @spec run(Settings.t(), atom, Metadata.upgrade()) :: result
  def run(_settings, _app, %{agent: nil} = upgrade) do
    {:refused,
     "hot upgrade #{upgrade.version} was recorded by a flydeploy that leaves no compiled agent in the bucket"}
  end

  def run(settings, app, upgrade) do
    id = id(upgrade)

    with {:ok, tarball} <- Storage.key(upgrade.tarball_url, settings.bucket),
         {:ok, code} <- AgentCode.fetch(settings, upgrade.agent),
         {:ok, agent} <- Storage.key(upgrade.agent.url, settings.bucket),
         urls = for(key <- [tarball, agent], do: Storage.presign(settings, key, @url_valid_s)),
         order = order(id, app, settings, upgrade, urls),
         {:ok, dir} <- AgentCode.start(code, order) do
      follow(%{dir: dir, upgrade: upgrade, until: now() + @within_ms, sent: nil, why: nil})
    else
      {:error, text} -> {:refused, text}
      {word, text} -> {word, text}
    end
  end

  defp id(upgrade) do
    nonce = 16 |> :crypto.strong_rand_bytes() |> Base.encode16(case: :lower)
    if (upgrade.id || "") =~ ~r/\A[A-Za-z0-9]{10,40}\z/, do: "#{upgrade.id}-#{nonce}", else: nonce
  end

  # As engine/agent encodes it.
  defp order(id, app, settings, upgrade, [url, agent_url]) do
    %{
      id: id,
      url: url,
      sha256: upgrade.sha256,
      size: upgrade.size,
      otp_app: app,
      cacerts: settings.cacerts || "",
      owner: "machine #{System.get_env("FLY_MACHINE_ID", "")}, which catches up",
      version: upgrade.version,
      source_image: upgrade.hot_ref || "",
      agent_url: agent_url,
      agent_sha256: upgrade.agent.sha256,
      apply_config: AppliedConfig.due?(upgrade),
      apply_children: upgrade.apply_children || "",
      signed_by: if(upgrade.signature, do: upgrade.signature.key, else: ""),
      staged_ms: @staged_ms
    }
    |> URI.encode_query()
    |> :zlib.compress()
    |> Base.encode64()
  end

  defp follow(s) do
    case status(s.dir) do
      {:ok, %{"state" => state} = status} when state in @terminal ->
        send_command(s, "finish")
        s.why || ended(state, status, s.upgrade)

      {:ok, status} ->
        s = if now() > s.until and s.sent != "abort", do: give_up(s), else: obey(status, s)
        Process.sleep(@poll_ms)
        follow(s)

      :gone ->
        s.why || {:busy, "a deploy has taken over"}
    end
  end

  # Each command is sent once: one that is there already waits for its state.
  defp obey(%{"state" => "staged"} = status, %{sent: nil} = s) do
    case Enum.find(status["findings"] || [], &(&1["severity"] in ["refuse", "block"])) do
      nil -> send_command(s, "arm")
      finding -> %{send_command(s, "abort") | why: {:refused, told(finding, s.upgrade)}}
    end
  end

  defp obey(%{"state" => "armed"}, %{sent: "arm"} = s), do: send_command(s, "commit")
  defp obey(_status, s), do: s

  defp give_up(s) do
    text = "applying hot upgrade #{s.upgrade.version} took longer than #{div(@within_ms, 60_000)} minutes"
    %{send_command(s, "abort") | why: {:unfetched, text}}
  end

  # An empty folder, which appears as a whole.
  defp send_command(s, command) do
    File.mkdir(Path.join(s.dir, command))
    %{s | sent: command}
  end

  defp status(dir) do
    with {:ok, text} <- File.read(Path.join(dir, "status")),
         {:ok, %{"state" => _} = status} <- Json.decode(text) do
      {:ok, status}
    else
      _ -> :gone
    end
  end

  defp ended("committed", status, upgrade) do
    ms = Float.round((status["suspended_us"] || 0) / 1_000, 1)
    {:ok, "hot upgrade #{upgrade.version} (#{status["suspended"]} processes suspended for #{ms} ms)"}
  end

  # Not by us: a console has taken over, or changed the code meanwhile.
  defp ended(state, _status, _upgrade) when state in ~w(aborted expired stale),
    do: {:busy, "a deploy came in between: #{state}"}

  defp ended("failed", %{"error" => %{"name" => name} = error}, upgrade) when name in @passing,
    do: {:unfetched, "hot upgrade #{upgrade.version}: #{error["what"]}"}

  defp ended(state, status, upgrade),
    do: {:refused, "hot upgrade #{upgrade.version} #{outcome(state)}: #{reason(status)}"}

  defp outcome("rolled_back"), do: "was rolled back"
  defp outcome("rolled_back_with_losses"), do: "was rolled back, with losses"
  defp outcome("failed"), do: "failed"

  defp reason(%{"failures" => [%{} = failure | _]}), do: "#{failure["module"]} #{failure["exception"]}"
  defp reason(%{"error" => %{"what" => what}}), do: what
  defp reason(_status), do: "for an unknown reason"

  defp told(finding, upgrade) do
    "hot upgrade #{upgrade.version} must be confirmed by somebody: " <>
      "#{finding["name"]}, #{finding["subject"]} #{finding["detail"]}"
  end

  defp now, do: System.monotonic_time(:millisecond)
end
