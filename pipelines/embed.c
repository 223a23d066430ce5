/* The element in a C program: results as messages and, behind a scaler, from the buffers.
 *
 * As a plugin that GStreamer finds:
 *
 *     cc -Wall -o embed pipelines/embed.c $(pkg-config --cflags --libs gstreamer-app-1.0 gstreamer-video-1.0)
 *     GST_PLUGIN_PATH=target/release ./embed tests/data/astronaut.jpg
 *
 * With the element within the program (`cargo cinstall` installs a .pc file that names the libraries):
 *
 *     cc -Wall -DSMILE_STATIC -o embed pipelines/embed.c target/release/libgstsmile.a \
 *       $(pkg-config --cflags --libs gstreamer-app-1.0 gstreamer-video-1.0 gstreamer-base-1.0 gio-2.0) -lm -ldl -lpthread
 *       # and gstreamer-analytics-1.0 where the library was built with the feature analytics
 *     ./embed tests/data/astronaut.jpg
 */

#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>

#ifdef SMILE_STATIC
GST_PLUGIN_STATIC_DECLARE (smile);
#endif

/* Prints the faces of a message or of a meta, which have the same fields. Their places are those of the frame that was
 * analysed; on a buffer that was scaled since, those of its regions of interest. */
static void
print_faces (const GstStructure *results, GstBuffer *buffer)
{
  const GValue *faces = gst_structure_get_value (results, "faces");
  guint count = GST_VALUE_HOLDS_ARRAY (faces) ? gst_value_array_get_size (faces) : 0;

  for (guint i = 0; i < count; i++) {
    const GstStructure *face = gst_value_get_structure (gst_value_array_get_value (faces, i));
    const GValue *landmarks = gst_structure_get_value (face, "landmarks");
    GstVideoRegionOfInterestMeta *place = NULL;
    guint id = 0;
    gint x = 0, y = 0, width = 0, height = 0, region = 0;
    gdouble probability = 0;
    gboolean smiling = FALSE;

    gst_structure_get (face, "id", G_TYPE_UINT, &id, "x", G_TYPE_INT, &x, "y", G_TYPE_INT, &y,
        "width", G_TYPE_INT, &width, "height", G_TYPE_INT, &height,
        "smiling", G_TYPE_BOOLEAN, &smiling, "probability", G_TYPE_DOUBLE, &probability, NULL);
    if (buffer != NULL && gst_structure_get_int (face, "region", &region))
      place = gst_buffer_get_video_region_of_interest_meta_id (buffer, region);
    if (place != NULL)
      g_print ("  face %u at %u,%u of %ux%u", id, place->x, place->y, place->w, place->h);
    else
      g_print ("  face %u at %d,%d of %dx%d", id, x, y, width, height);
    g_print (": %s (%.2f)", smiling ? "smiles" : "doesn't smile", probability);
    /* Ten numbers, x and y of the right eye first. Regions that upstream found have none. */
    if (buffer == NULL && landmarks != NULL)
      g_print (", right eye at %.0f,%.0f", g_value_get_double (gst_value_array_get_value (landmarks, 0)),
          g_value_get_double (gst_value_array_get_value (landmarks, 1)));
    g_print ("\n");
  }
}

/* Prints what a frame says of itself. */
static void
print_frame (GstSample *sample)
{
  GstBuffer *buffer = gst_sample_get_buffer (sample);
  GstCustomMeta *meta = gst_buffer_get_custom_meta (buffer, "GstSmileFilterMeta");
  GstVideoInfo info;

  if (gst_video_info_from_caps (&info, gst_sample_get_caps (sample)))
    g_print ("frame of %dx%d at %" GST_TIME_FORMAT "\n", GST_VIDEO_INFO_WIDTH (&info), GST_VIDEO_INFO_HEIGHT (&info),
        GST_TIME_ARGS (GST_BUFFER_PTS (buffer)));
  if (meta != NULL)
    print_faces (gst_custom_meta_get_structure (meta), buffer);
}

/* Prints what has happened. FALSE where that was an error with the file of that name. */
static gboolean
print_messages (GstBus *bus, const gchar *name)
{
  GstMessage *message;
  gboolean good = TRUE;

  while (good && (message = gst_bus_pop_filtered (bus, GST_MESSAGE_ELEMENT | GST_MESSAGE_ERROR)) != NULL) {
    const GstStructure *structure = gst_message_get_structure (message);

    if (GST_MESSAGE_TYPE (message) == GST_MESSAGE_ERROR) {
      GError *error = NULL;
      /* Names can have characters that a terminal obeys. */
      gchar *shown = g_strescape (name, NULL);
      gst_message_parse_error (message, &error, NULL);
      g_printerr ("Error: %s: %s\n", shown, error->message);
      g_error_free (error);
      g_free (shown);
      good = FALSE;
    } else if (gst_structure_has_name (structure, "smilefilter")) {
      guint identity = 0;
      gst_structure_get_uint (structure, "identity", &identity);
      g_print ("message: %s %u\n", gst_structure_get_string (structure, "event"), identity);
      print_faces (structure, NULL);
    }
    gst_message_unref (message);
  }
  return good;
}

int
main (int argc, char *argv[])
{
  GstElement *pipeline, *source, *sink;
  GError *error = NULL;
  GstBus *bus;
  gchar *uri;
  gboolean good = TRUE;

  gst_init (&argc, &argv);
#ifdef SMILE_STATIC
  GST_PLUGIN_STATIC_REGISTER (smile);
#endif
  if (argc != 2) {
    g_printerr ("Usage: %s PICTURE_OR_VIDEO\n", argv[0]);
    return 2;
  }
  uri = gst_filename_to_uri (argv[1], &error);
  pipeline = error ? NULL : gst_parse_launch ("uridecodebin name=source ! videoconvert ! smilefilter ! videoscale "
      "! videoconvert ! video/x-raw,format=RGB,width=320,pixel-aspect-ratio=1/1 "
      "! appsink name=sink max-buffers=4 sync=false", &error);
  if (error != NULL) {
    g_printerr ("Error: %s\n", error->message);
    return 1;
  }
  /* A name is a property: in the words above it could become a part of the pipeline. */
  source = gst_bin_get_by_name (GST_BIN (pipeline), "source");
  g_object_set (source, "uri", uri, NULL);
  sink = gst_bin_get_by_name (GST_BIN (pipeline), "sink");
  bus = gst_element_get_bus (pipeline);
  gst_element_set_state (pipeline, GST_STATE_PLAYING);

  while (good) {
    /* Not gst_app_sink_pull_sample(), which waits for ever for a frame of something that has none. */
    GstSample *sample = gst_app_sink_try_pull_sample (GST_APP_SINK (sink), GST_SECOND / 10);

    good = print_messages (bus, argv[1]);
    if (sample != NULL) {
      print_frame (sample);
      gst_sample_unref (sample);
    } else if (gst_app_sink_is_eos (GST_APP_SINK (sink))) {
      break;
    }
  }

  gst_element_set_state (pipeline, GST_STATE_NULL);
  gst_object_unref (bus);
  gst_object_unref (sink);
  gst_object_unref (source);
  gst_object_unref (pipeline);
  g_free (uri);
  return good ? 0 : 1;
}
