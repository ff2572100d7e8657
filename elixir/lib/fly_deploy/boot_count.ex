defmodule FlyDeploy.BootCount do
  @moduledoc false

  # Counts the boots of this machine with one upgrade that have not lasted (`FlyDeploy.Survival`), so that an upgrade that no boot
  # survives is not loaded for ever: after two in a row the machine boots its image's code. If that does not last either, the
  # upgrade was not the reason, and has its next chance.
  #
  # The count is in the bucket, in the record of the upgrade: a machine that restarts has its image's disk again. Whoever
  # deploys the same code anew gives it another id, and so another count.

  alias FlyDeploy.{Json, Settings, Storage, Survival}

  require Logger

  @chances 2
  # The boot of the image after that.
  @image @chances + 1
  # Nobody waits longer for the bucket because of a count.
  @within_ms 2_000
  # Whoever asks may be killed: the bucket is not written any more when Survival settles the count.
  @ends_ms 20_000

  @typedoc "`boots` are those that have not lasted yet, this one included. `gave_up`: the machine boots its image's code."
  @type t :: %{
          key: String.t(),
          machine: String.t(),
          id: String.t(),
          version: String.t(),
          sha256: String.t(),
          boots: pos_integer,
          gave_up: boolean
        }

  @doc """
  Begins to read the count, for `decide/1` by the same process. nil where nobody counts: the upgrade has no id, nothing would
  find out that this boot has lasted, or an earlier call in this VM has counted it.
  """
  @spec read(Settings.t(), atom, FlyDeploy.Metadata.upgrade(), String.t() | nil) :: {t, pid, reference} | nil
  def read(settings, app, %{id: id} = upgrade, machine) when is_binary(id) and is_binary(machine) do
    key = "releases/#{app}-results/#{id}/boots-#{machine}.json"

    if id <> machine =~ ~r/\A[A-Za-z0-9_-]+\z/ and Survival.ready?(key) do
      count = %{
        key: key,
        machine: machine,
        id: id,
        version: upgrade.version,
        sha256: upgrade.sha256,
        boots: 1,
        gave_up: false
      }

      {pid, monitor} = begin(fn -> Storage.read(settings, key) end)
      {count, pid, monitor}
    end
  end

  def read(_settings, _app, _upgrade, _machine), do: nil

  @doc "Says whether the upgrade is to be loaded, and counts this boot; nil where it could not be counted."
  @spec decide({t, pid, reference} | nil) :: {:load | :image, t | nil}
  def decide(nil), do: {:load, nil}

  def decide({count, pid, monitor}) do
    case await(pid, monitor) do
      {:ok, text} ->
        boots = next(text, count.sha256)
        {if(boots == @image, do: :image, else: :load), %{count | boots: boots, gave_up: boots == @image}}

      :not_found ->
        {:load, count}

      {:error, text} ->
        uncounted(text)
        {:load, nil}
    end
  end

  # Bytes that differ are another upgrade.
  defp next(text, sha256) do
    case Json.decode(text) do
      {:ok, %{"sha256" => ^sha256, "boots" => boots}} when boots in 1..@chances//1 -> boots + 1
      _ -> 1
    end
  end

  @doc "Begins to write the count down, for `kept?/1` by the same process."
  @spec keep(Settings.t(), t | nil) :: {pid, reference} | nil
  def keep(_settings, nil), do: nil
  def keep(settings, count), do: begin(fn -> Storage.write(settings, count.key, encode(count)) end)

  @doc "Whether the count is written down. To be asked before anything is loaded."
  @spec kept?({pid, reference} | nil) :: boolean
  def kept?(nil), do: false

  def kept?({pid, monitor}) do
    case await(pid, monitor) do
      :ok -> true
      {:error, text} -> uncounted(text)
    end
  end

  defp uncounted(text) do
    Logger.warning(
      "FlyDeploy cannot count this boot in the bucket (#{text}): an upgrade that crashes every boot would go unnoticed"
    )

    false
  end

  @doc "This boot has lasted: what it has loaded is well, or, if that is the image's code, better than the upgrade."
  @spec lasted(Settings.t(), t) :: :ok | {:error, String.t()}
  def lasted(settings, %{boots: @image} = count), do: forget(settings, count)
  def lasted(settings, count), do: Storage.delete(settings, count.key)

  @doc "This boot was ended in good order before it has lasted: that says nothing."
  @spec forget(Settings.t(), t) :: :ok | {:error, String.t()}
  def forget(settings, %{boots: 1} = count), do: Storage.delete(settings, count.key)

  def forget(settings, count),
    do: Storage.write(settings, count.key, encode(%{count | boots: count.boots - 1}))

  @doc """
  What the count in the bucket says. `flydeploy history` reads it.

      iex> count = %{key: "", machine: "148e", id: "01K93Q", version: "2.0.0", sha256: "ab", boots: 2, gave_up: false}
      iex> FlyDeploy.BootCount.encode(count) =~ ~s({"machine_id":"148e","upgrade_id":"01K93Q","version":"2.0.0","sha256":"ab","boots":2,"gave_up":false,"at":"2)
      true
  """
  @spec encode(t) :: String.t()
  def encode(count) do
    at = DateTime.utc_now() |> DateTime.truncate(:second) |> DateTime.to_iso8601()

    texts =
      for {name, value} <- [
            machine_id: count.machine,
            upgrade_id: count.id,
            version: count.version,
            sha256: count.sha256
          ],
          do: ~s("#{name}":"#{String.replace(value, ~r/[^A-Za-z0-9._+-]/, "")}",)

    ~s({#{texts}"boots":#{count.boots},"gave_up":#{count.gave_up},"at":"#{at}"}\n)
  end

  # Whatever happens in there: the boot goes on. An exception's own text may hold anything, a key among it.
  defp begin(fun) do
    spawn_monitor(fn ->
      {:ok, _} = :timer.kill_after(@ends_ms)
      exit({:done, safely(fun)})
    end)
  end

  defp safely(fun) do
    fun.()
  catch
    _, _ -> {:error, "an exception while talking to it"}
  end

  defp await(pid, monitor) do
    receive do
      {:DOWN, ^monitor, :process, _, {:done, result}} -> result
    after
      @within_ms ->
        Process.demonitor(monitor, [:flush])
        Process.exit(pid, :kill)
        {:error, "no answer within #{@within_ms} ms"}
    end
  end
end
